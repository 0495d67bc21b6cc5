"""3a PatchEmbed(img_size, patch_size, nin, nout): x (B, nin, img_size, img_size) -> (B, N, nout), N patches in raster order.

An embedding is affine in the pixels of its patch, so a few images say all: one of zeros gives the bias, and images with one
pixel set in each patch give the map, which must predict what other images give. Where it does not, each criterion looks for
its own fault. Shapes are judged at many sizes; patches and the map at the homework's own, in evaluation mode, and read from
an output whose axes are in another order. So a wrong shape, a size that is written down, or dropout costs its own family only.
"""

from grader.homework3.patch_embed import patches, shapes

MODULES = (shapes, patches)

"""What tells one answer from another: what the notebook holds for an item, and what training adds does not."""

from __future__ import annotations

from grader.gradebook.content import content_of, differs, without_images
from grader.scoring.evidence import MOST_ANSWER, MOST_TEXT
from grader.scoring.result import Evidence, ItemResult
from tests.review.made import result_of

WRITTEN = Evidence(kind="written_answer", title="text in the notebook", text="Because.")
IMAGE = Evidence(kind="image", title="image from code cell 3", cell=3, mime="image/png", data="AAAA")
TRAINED = Evidence(kind="image", title="heatmaps", mime="image/png", data="BBBB")


def item(*evidence: Evidence) -> ItemResult:
    return ItemResult(
        id="2d", title="Written", kind="manual", points=None, max_points=1, status="pending", evidence=evidence
    )


def test_the_answer_counts_before_the_notebook() -> None:
    seen = content_of(item(WRITTEN, IMAGE), "a" * 64)
    assert not differs(seen, content_of(item(WRITTEN, IMAGE), "b" * 64))
    moved = IMAGE.model_copy(update={"cell": 4, "title": "image from code cell 4"})
    assert not differs(seen, content_of(item(WRITTEN, moved), "b" * 64))
    assert not differs(seen, content_of(item(WRITTEN, IMAGE, TRAINED), "a" * 64))
    for other in (item(IMAGE), item(WRITTEN.model_copy(update={"text": "Since."}), IMAGE), item()):
        assert differs(seen, content_of(other, "b" * 64))


def test_without_an_answer_the_notebook_counts() -> None:
    assert not differs(content_of(item(), "a" * 64), content_of(item(), "a" * 64))
    assert differs(content_of(item(), "a" * 64), content_of(item(), "b" * 64))
    assert differs(content_of(item(), "a" * 64), content_of(item(), ""))
    assert differs(content_of(item(), ""), content_of(item(WRITTEN), "a" * 64))


def test_what_is_cut_is_known_by_the_notebook() -> None:
    """Evidence holds only the beginning of a text that is too long, or the end of an output."""
    output = Evidence(kind="generated_text", cell=3, text="x" * MOST_TEXT)
    for cut in (item(WRITTEN.model_copy(update={"text": "x" * MOST_ANSWER})), item(output)):
        assert differs(content_of(cut, "a" * 64), content_of(cut, "b" * 64))
    long = item(WRITTEN.model_copy(update={"text": "x" * (MOST_TEXT + 1)}))
    assert not differs(content_of(long, "a" * 64), content_of(long, "b" * 64))


def test_digests_in_place_of_images_are_the_same_answer() -> None:
    other = IMAGE.model_copy(update={"data": "CCCC"})
    (whole, _), (changed, _) = (result_of("ada", {"3d": [WRITTEN, image]}) for image in (IMAGE, other))
    light = without_images(whole)
    assert whole.items != light.items and without_images(light) == light
    for one, two in zip(whole.items, light.items, strict=True):
        assert content_of(one, "a" * 64) == content_of(two, "a" * 64)
    found = [next(each for each in result.items if each.id == "3d") for result in (light, without_images(changed))]
    assert differs(content_of(found[0]), content_of(found[1]))


def test_a_pdf_counts_where_both_know_it() -> None:
    seen = content_of(item(WRITTEN), "a" * 64, "c" * 64)
    assert not differs(seen, content_of(item(WRITTEN), "a" * 64))
    assert differs(seen, content_of(item(WRITTEN), "a" * 64, "d" * 64))

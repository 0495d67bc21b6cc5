# An image for Gradescope with everything installed, where building it there takes too long or cannot reach the network:
#   grader gradescope build --out autograder.zip --seed-file seed.txt
#   docker build -f containers/gradescope.Dockerfile -t ACCOUNT/hw3-gradescope .
# The seed is in the image: push it to a private repository.
ARG BASE=gradescope/autograder-base:ubuntu-22.04
# hadolint ignore=DL3006
FROM ${BASE}
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
COPY autograder.zip /tmp/autograder.zip
RUN python3 -m zipfile -e /tmp/autograder.zip /autograder/source \
    && rm /tmp/autograder.zip \
    && cp /autograder/source/run_autograder /autograder/run_autograder \
    && chmod 0755 /autograder/run_autograder \
    && bash /autograder/source/setup.sh

# The grader on a machine of its own:
#   docker build -f containers/grader.Dockerfile -t hw3-grader .
#   docker build -f containers/grader.Dockerfile -t hw3-grader:cuda --build-arg TORCH=cu130 .
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS python
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# hadolint ignore=DL3008
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

# The wheel: the same bytes as python -m build writes with this SOURCE_DATE_EPOCH.
FROM python AS build
WORKDIR /build
RUN python3 -m venv /build/venv && /build/venv/bin/pip install --quiet hatchling==1.33.0
COPY pyproject.toml README.md LICENSE rubric.yaml ./
COPY grader grader
COPY reference reference
COPY student_template student_template
COPY examples examples
RUN SOURCE_DATE_EPOCH=315532800 /build/venv/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheel .

# docker build --target wheel --output dist: the wheel alone.
FROM scratch AS wheel
COPY --from=build /wheel /

FROM python AS grader
ARG TORCH=cpu
ARG TORCH_VERSION=2.13.0
ARG TORCHVISION_VERSION=0.28.0
COPY containers/requirements.txt /opt/grader/requirements.txt
RUN python3 -m venv /opt/grader/venv \
    && /opt/grader/venv/bin/pip install --quiet --require-hashes -r /opt/grader/requirements.txt
RUN /opt/grader/venv/bin/pip install --quiet --index-url "https://download.pytorch.org/whl/${TORCH}" \
        "torch==${TORCH_VERSION}" "torchvision==${TORCHVISION_VERSION}"
COPY --from=build /wheel /opt/grader/wheel
RUN /opt/grader/venv/bin/pip install --quiet --no-deps --no-index /opt/grader/wheel/hw3_grader-*.whl \
    && /opt/grader/venv/bin/grader --version
ENV PATH=/opt/grader/venv/bin:$PATH
# Root inside the container, so that each submission runs as a user of its own. Class folders are mounted here.
WORKDIR /class
ENTRYPOINT ["grader"]
CMD ["doctor"]

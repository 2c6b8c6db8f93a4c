# The toolkit with the tools of every gate, installed from the locks. Audit the repository in the
# working directory:
#
#   docker build -t codex-audit .
#   docker run --rm --network none --user "$(id -u):$(id -g)" -v "$PWD:/repository" codex-audit scan .
#
# pip takes torch from PyPI, with CUDA's libraries on x86-64; for a small image give it an index of
# CPU wheels: --build-arg PIP_EXTRA_INDEX_URL=...

FROM python:3.11.15-slim-bookworm AS build
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/toolkit
ENV PATH=/opt/toolkit/bin:$PATH
WORKDIR /build
# The locks alone first: a change of the code does not install them again.
COPY requirements/tests.txt requirements/torch.txt requirements/
RUN pip install --require-hashes --no-deps -r requirements/tests.txt \
 && pip install -r requirements/torch.txt
COPY LICENSE README.md pyproject.toml ./
COPY src src
# The examples that `codex-audit explain` shows.
COPY tests/fixtures/criteria tests/fixtures/criteria
RUN pip install --no-build-isolation --no-deps .

FROM python:3.11.15-slim-bookworm
# Debian replaces a patched version in place, so only the upstream release can be pinned.
RUN apt-get update \
 && apt-get install -y --no-install-recommends git=1:2.39.* \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/toolkit /opt/toolkit
# Whatever user it runs as, the cache of facts can be written.
ENV PATH=/opt/toolkit/bin:$PATH XDG_CACHE_HOME=/tmp/cache PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 10001 --create-home auditor
USER 10001:10001
WORKDIR /repository
HEALTHCHECK --interval=60s --timeout=10s --retries=3 CMD ["codex-audit", "--version"]
ENTRYPOINT ["codex-audit"]
CMD ["--help"]

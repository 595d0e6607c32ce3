# Not built or tested yet: no container daemon was at hand. Weights and collections are mounted, never copied in.
#   docker build -t balance . && docker run --rm --gpus all --network none -v "$PWD:/work" balance demo
FROM python:3.11-slim
RUN useradd --create-home --uid 1000 balance && mkdir /work && chown balance /work
COPY . /tmp/source
RUN pip install --no-cache-dir --constraint /tmp/source/constraints.txt /tmp/source && rm -rf /tmp/source
USER balance
WORKDIR /work
ENTRYPOINT ["balance"]
CMD ["--help"]

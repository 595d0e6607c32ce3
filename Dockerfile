# Not built or tested yet. Weights and collections are mounted, never copied in.
#   docker build -t balance . && docker run --rm --gpus all --network none -v "$PWD:/project" balance demo
FROM python:3.11-slim
RUN useradd --create-home --uid 1000 balance && mkdir /project && chown balance /project
COPY . /tmp/source
RUN pip install --no-cache-dir --constraint /tmp/source/constraints.txt /tmp/source && rm -rf /tmp/source
USER balance
WORKDIR /project
ENTRYPOINT ["balance"]
CMD ["--help"]

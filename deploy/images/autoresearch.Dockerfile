# The person's tool, for jobs in a cluster.
FROM scratch
ARG TARGETARCH=amd64
COPY ${TARGETARCH}/autoresearch /autoresearch
USER 65532:65532
ENTRYPOINT ["/autoresearch"]

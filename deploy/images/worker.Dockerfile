# The worker. On Kubernetes it only copies itself into a training image: worker install DIR.
FROM scratch
ARG TARGETARCH=amd64
COPY ${TARGETARCH}/worker /worker
USER 65532:65532
ENTRYPOINT ["/worker"]

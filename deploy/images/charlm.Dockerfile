# The demo's experiment as a training image: it knows nothing of autoresearch but the contract.
FROM scratch
ARG TARGETARCH=amd64
COPY ${TARGETARCH}/charlm /charlm
USER 65532:65532
ENTRYPOINT ["/charlm"]

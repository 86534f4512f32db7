# A NATS server, built from its Go module as go.mod pins it.
FROM scratch
ARG TARGETARCH=amd64
COPY ${TARGETARCH}/nats-server /nats-server
USER 65532:65532
ENTRYPOINT ["/nats-server"]

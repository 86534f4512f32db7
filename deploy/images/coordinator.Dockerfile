# A coordinator: one static program, and nothing else. The context is bin/images (make images).
FROM scratch
ARG TARGETARCH=amd64
COPY ${TARGETARCH}/coordinator /coordinator
USER 65532:65532
ENTRYPOINT ["/coordinator"]

/** What the BuildKit in Debian's dockerd 20.10 wrote for these Dockerfiles. */

export const buildkitCases = [
  {
    title: "arguments through stages",
    dockerfile:
      'FROM base AS builder\nARG VERSION=1.0\nARG COMMIT\nENV GOPATH=/go PATH=/go/bin:$PATH CGO_ENABLED=0\nWORKDIR $GOPATH/src/app\nCOPY f d/x ./\nRUN echo "-X main.version=$VERSION -X main.commit=$COMMIT" > bin\nFROM builder AS test\nARG VERSION\nRUN echo $VERSION $COMMIT\nFROM scratch AS final\nARG VERSION\nLABEL org.opencontainers.image.version=$VERSION\nENV A=$VERSION\nCOPY --from=builder /go/src/app/bin /app\nCOPY --from=test /etc/passwd /etc/passwd\nUSER 65534:65534\nENTRYPOINT ["/app"]\n',
    buildArgs: {
      COMMIT: "abc",
    },
    history: [
      {
        created_by: "ARG VERSION",
        empty: true,
      },
      {
        created_by: "LABEL org.opencontainers.image.version=",
        empty: true,
      },
      {
        created_by: "ENV A=",
        empty: true,
      },
      {
        created_by: "COPY /go/src/app/bin /app # buildkit",
        empty: false,
      },
      {
        created_by: "COPY /etc/passwd /etc/passwd # buildkit",
        empty: false,
      },
      {
        created_by: "USER 65534:65534",
        empty: true,
      },
      {
        created_by: 'ENTRYPOINT ["/app"]',
        empty: true,
      },
    ],
    config: {
      User: "65534:65534",
      Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "A="],
      Entrypoint: ["/app"],
      WorkingDir: "/",
      Labels: {
        "org.opencontainers.image.version": "",
      },
    },
  },
  {
    title: "triggers of the base image",
    dockerfile:
      'FROM base2\nARG HTTP_PROXY\nARG A=1\nENV A=2\nARG C\nRUN echo $A $C\nRUN true\nFROM base2 as two\nENTRYPOINT ["x"]\n',
    buildArgs: {
      HTTP_PROXY: "http://p",
      C: "x y",
    },
    history: [
      {
        created_by: "RUN /bin/sh -c echo triggered # buildkit",
        empty: false,
      },
      {
        created_by: "COPY f /onb # buildkit",
        empty: false,
      },
      {
        created_by: 'ENTRYPOINT ["x"]',
        empty: true,
      },
    ],
    config: {
      Env: ["PATH=/bin", "Q=1"],
      Entrypoint: ["x"],
      Labels: {
        a: "2",
        z: "1",
      },
    },
  },
];

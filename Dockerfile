# The service with the bundled networks. docs/deployment.md says how to run it with others.

# Everything that is made here runs on each processor: JavaScript, WebAssembly and circuits. So the stage runs on the
# machine that builds, also for images of other platforms, and nothing has to be emulated.
FROM --platform=$BUILDPLATFORM node:24-bookworm-slim AS build
WORKDIR /build
# The image's own Node is recent enough, so the one that the package `node` would fetch is left out.
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY src src
RUN node scripts/build.ts
# A service on several machines needs these packages, which are for development elsewhere.
RUN npm pkg delete devDependencies && npm pkg set dependencies.bullmq='*' dependencies.ioredis='*'
# Optional packages have code of one platform. The service does without them.
RUN npm prune --omit=dev --omit=optional --omit=peer --ignore-scripts --no-audit --no-fund
# The volume below gets the owner of this directory.
RUN mkdir data

FROM node:24-bookworm-slim
LABEL org.opencontainers.image.title="polyveil" \
      org.opencontainers.image.description="Private image classification under CKKS encryption: the service" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.base.name="docker.io/library/node:24-bookworm-slim"
ENV NODE_ENV=production \
    POLYVEIL_HOST=0.0.0.0 \
    POLYVEIL_PORT=8080 \
    POLYVEIL_DATA_DIR=/data
WORKDIR /app
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY LICENSE ./
COPY docker/entrypoint.sh docker/healthcheck.js docker/
# Tokens, key sets and the state of the service outlast the container in this volume.
COPY --from=build --chown=1000:1000 /build/data /data
VOLUME /data
# The user `node` of the base image. Kubernetes can tell by the number alone that it is not root.
USER 1000:1000
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["node", "docker/healthcheck.js"]
ENTRYPOINT ["sh", "docker/entrypoint.sh"]

# The service with the bundled networks. docs/deployment.md says how to run it with others.

FROM node:24-bookworm-slim AS build
WORKDIR /build
# The image's own Node is recent enough, so the one that the package `node` would fetch is left out.
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY src src
RUN node scripts/build.ts && npm prune --omit=dev --ignore-scripts

FROM node:24-bookworm-slim
ENV NODE_ENV=production \
    POLYVEIL_HOST=0.0.0.0 \
    POLYVEIL_PORT=8080 \
    POLYVEIL_DATA_DIR=/data
WORKDIR /app
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY docker/entrypoint.sh docker/healthcheck.js docker/
# Key sets are kept between containers in a volume that the service's user may write to.
RUN mkdir /data && chown node:node /data
VOLUME /data
USER node
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["node", "docker/healthcheck.js"]
ENTRYPOINT ["sh", "docker/entrypoint.sh"]

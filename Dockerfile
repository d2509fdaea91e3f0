# One image for each service, from one file:
#
#   docker build --build-arg SERVICE=download-worker -t weir/download-worker .
#
# SERVICE is a folder of packages/ with a main: ingester, download-worker, result-processor, retry-scheduler,
# dlq-handler, scaler, or cli (the `weir` command line, for jobs such as `topics create`).
#
#   manifests  what is installed is cached until a manifest changes
#   build      dist of all packages, the same for every SERVICE
#   service    production dependencies and dist of one service and the packages that it uses, nothing else
#   (last)     the image: not root, node as process 1
#
# Nothing here needs BuildKit. The build runs no install scripts: none of the dependencies needs one.

FROM node:24-bookworm-slim AS manifests
ENV npm_config_cache=/npm-cache
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
COPY packages/core/package.json packages/core/
COPY packages/sdk/package.json packages/sdk/
COPY packages/contracts/package.json packages/contracts/
COPY packages/storage/package.json packages/storage/
COPY packages/lake/package.json packages/lake/
COPY packages/table-sink/package.json packages/table-sink/
COPY packages/dev-broker/package.json packages/dev-broker/
COPY packages/ingester/package.json packages/ingester/
COPY packages/download-worker/package.json packages/download-worker/
COPY packages/result-processor/package.json packages/result-processor/
COPY packages/retry-scheduler/package.json packages/retry-scheduler/
COPY packages/dlq-handler/package.json packages/dlq-handler/
COPY packages/scaler/package.json packages/scaler/
COPY packages/cli/package.json packages/cli/

FROM manifests AS build
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.base.json tsconfig.build.json ./
COPY packages packages
# by its path, not `npm run`: the repository's own Node (a dev dependency for older machines) is not needed here
RUN node node_modules/typescript/bin/tsc -b tsconfig.build.json

FROM manifests AS service
# the downloads of the stage before: no service needs the network
COPY --from=build /npm-cache /npm-cache
ARG SERVICE
RUN test -n "$SERVICE" || { echo "say which service: --build-arg SERVICE=download-worker" >&2; exit 1; }
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund --prefer-offline --workspace "packages/$SERVICE" \
 && find . -path '*/node_modules/*' -type f \( -name '*.d.ts' -o -name '*.d.cts' -o -name '*.d.mts' -o -name '*.map' -o -name '*.md' \) -delete
COPY --from=build /build/packages /build/built
# node_modules/@weir holds a link for each package that the service uses: these, and only these, get their dist, and what
# npm installed beside them because another version of it stands at the top
RUN mkdir -p /app/packages \
 && for link in node_modules/@weir/*; do \
      name=$(basename "$(readlink -f "$link")"); \
      mkdir "/app/packages/$name"; \
      cp -r "built/$name/package.json" "built/$name/dist" "/app/packages/$name/"; \
      if [ -d "built/$name/proto" ]; then cp -r "built/$name/proto" "/app/packages/$name/"; fi; \
      if [ -d "packages/$name/node_modules" ]; then mv "packages/$name/node_modules" "/app/packages/$name/"; fi; \
    done \
 && find /app/packages -type f \( -name '*.d.ts' -o -name '*.map' -o -name '*.tsbuildinfo' \) -delete \
 && mv node_modules /app/node_modules \
 && test -f "/app/packages/$SERVICE/dist/main.js"

FROM node:24-bookworm-slim
ARG SERVICE
ENV NODE_ENV=production
COPY --from=service /app /app
WORKDIR /app/packages/$SERVICE
# Files belong to root: the process cannot change its own code. What a service writes goes to its stores.
USER node
EXPOSE 8000
# Kubernetes asks /healthz and /readyz; a HEALTHCHECK would be a second opinion that nobody reads.
HEALTHCHECK NONE
# Node is process 1 with no init before it: runWorker handles SIGTERM and SIGINT itself (the kernel ignores signals that
# process 1 has no handler for), and no service starts children that would have to be reaped.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "dist/main.js"]

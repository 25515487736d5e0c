# pgmirror in a container: its files are /etc/pgmirror/pgmirror.toml and /etc/pgmirror/users.toml.
# Clients reach it only if [general] has host = "0.0.0.0". `docker run … check --connect` runs another command.

FROM node:26-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# No install scripts: they serve the PostgreSQL of the tests and of the demo, which the image leaves out.
RUN npm ci --ignore-scripts
COPY tsconfig.json ./
COPY scripts scripts
COPY src src
RUN npm run build && npm prune --omit=dev --omit=optional --ignore-scripts

FROM node:26-slim
ENV NODE_ENV=production
WORKDIR /opt/pgmirror
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY LICENSE ./
RUN mkdir /etc/pgmirror
WORKDIR /etc/pgmirror
USER node
EXPOSE 6432
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/opt/pgmirror/dist/main.js"]
CMD ["run"]

# Apache James for the end-to-end tests: a Java runtime and the server's jars (the build's context). What it is
# configured with comes from a Secret.
ARG DEBIAN=docker.io/library/debian:bookworm-slim
FROM ${DEBIAN}
# Its package wants the directory, which slim images lack.
RUN mkdir -p /usr/share/man/man1 \
 && apt-get update \
 && apt-get install -y --no-install-recommends openjdk-17-jre-headless \
 && rm -rf /var/lib/apt/lists/*
COPY *.jar /james/lib/
WORKDIR /james
ENTRYPOINT ["java", "-Xmx256m", "-Dworking.directory=/james", "-Dlogback.configurationFile=/james/conf/logback.xml", \
            "-Djdk.tls.ephemeralDHKeySize=2048", "-cp", "/james/lib/*", "org.apache.james.MemoryJamesServerMain"]

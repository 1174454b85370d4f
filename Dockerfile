# The gateway: one static file and a list of certificate authorities, run as uid 65534.
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN target=$(rustc -vV | sed -n 's/^host: //p') \
 && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target "$target" \
 && install -D "target/$target/release/portcullis" /out/portcullis

FROM scratch
COPY --from=build /out/portcullis /portcullis
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER 65534:65534
EXPOSE 4180
ENTRYPOINT ["/portcullis"]
# By the variables of its flags, or by /etc/portcullis/portcullis.yaml.
CMD ["run"]

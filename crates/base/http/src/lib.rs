//! One policy of TLS, proxies, private CAs, retries and redaction for whatever speaks HTTP.

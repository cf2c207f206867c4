"""Requests to buckets that are signed in their address."""

from ministack.services import s3

QUERY = "X-Amz-SignedHeaders"


def unsigned_headers() -> None:
    """Upstream takes headers of S3's own from a presigned request whether they are signed or not; AWS refuses the
    request, so that an address stores no tags, metadata or access list that its maker did not sign."""
    verify = s3._verify_presigned_sigv4

    def verify_all(method, path, headers, query):
        if refusal := verify(method, path, headers, query):
            return refusal
        signed = s3._qp(query, QUERY, "").lower().split(";")
        if QUERY in query and any(name.startswith("x-amz-") and name not in signed for name in headers):
            return s3._error(
                "AccessDenied", "There were headers present in the request which were not signed", 403, path)
        return None

    s3._verify_presigned_sigv4 = verify_all

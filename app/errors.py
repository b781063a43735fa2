"""Everything that can go wrong, by name.

``ServiceError`` and its subclasses are answers to a caller: a status, a code of the HTTP contract and a sentence the
caller may read. ``ModelError`` and its subclasses are answers to the operator: a model cannot be prepared or loaded.
"""

from collections.abc import Mapping


class ServiceError(Exception):
    """An answer to a caller that is not a prediction.

    ``status`` and ``code`` are part of the HTTP contract; ``title`` is the same for every occurrence, ``detail`` says
    what was wrong with this one and never holds text from another request or from an exception of a library.
    """

    status = 500
    code = "internal"
    title = "Internal error"

    def __init__(self, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})


class InternalError(ServiceError):
    """A defect of the service; the log has the traceback under the same request id."""


class MissingFile(ServiceError):
    status, code, title = 400, "missing_file", "No image in the request"


class MalformedRequest(ServiceError):
    status, code, title = 400, "malformed_request", "The request is malformed"


class Unauthorized(ServiceError):
    status, code, title = 401, "unauthorized", "A valid API key is required"


class Forbidden(ServiceError):
    status, code, title = 403, "forbidden", "Not allowed"


class MisdirectedRequest(ServiceError):
    status, code, title = 421, "misdirected_request", "Not a name of this service"


class NotFound(ServiceError):
    status, code, title = 404, "not_found", "No such path"


class ModelNotFound(ServiceError):
    status, code, title = 404, "model_not_found", "No such model"


class MethodNotAllowed(ServiceError):
    status, code, title = 405, "method_not_allowed", "Method not allowed"


class UploadTimeout(ServiceError):
    status, code, title = 408, "upload_timeout", "The upload was too slow"


class PayloadTooLarge(ServiceError):
    status, code, title = 413, "payload_too_large", "The upload is too large"


class TooManyPixels(ServiceError):
    status, code, title = 413, "too_many_pixels", "The image has too many pixels"


class TooCostly(ServiceError):
    status, code, title = 413, "too_costly", "The image takes too much to decode"


class UnsupportedMediaType(ServiceError):
    status, code, title = 415, "unsupported_media_type", "Unsupported image format"


class UndecodableImage(ServiceError):
    status, code, title = 422, "undecodable_image", "The image cannot be decoded"


class InvalidParameter(ServiceError):
    status, code, title = 422, "invalid_parameter", "A parameter is invalid"


class EvaluationTooLarge(ServiceError):
    status, code, title = 422, "evaluation_too_large", "The evaluation takes too much"


class QueueFull(ServiceError):
    status, code, title = 429, "queue_full", "The service is at capacity"


class TooManyRequests(ServiceError):
    status, code, title = 429, "too_many_requests", "Too many requests at once"


class NotReady(ServiceError):
    status, code, title = 503, "not_ready", "The service is not ready"


class Draining(ServiceError):
    status, code, title = 503, "draining", "The service is shutting down"


class DeadlineExceeded(ServiceError):
    status, code, title = 504, "deadline_exceeded", "The deadline has passed"


class StartError(Exception):
    """The service cannot start as it is set up; the message is for the operator."""


class BatchTooLarge(Exception):
    """The device's memory does not hold a batch of this size: a smaller one may pass."""


class ModelError(Exception):
    """A model cannot be prepared or loaded; the message is for the operator, ``reason`` is what a caller may read."""

    reason = "It cannot be loaded; the service's log says why."


class UnknownModel(ModelError):
    """There is no manifest of that name."""

    reason = "It has no manifest."


class ManifestInvalid(ModelError):
    """There is a manifest, and it is faulty or another model's."""

    reason = "Its manifest is not valid."


class ManifestChanged(ModelError):
    """The weights were prepared for another manifest than the one that lies there now."""

    reason = "It was prepared for another manifest than it has now."


class NotPrepared(ModelError):
    """There are no weights, or none that a receipt vouches for."""

    reason = "It is not prepared."


class WeightsUnavailable(ModelError):
    """The weights cannot be obtained from where they are published (no network, refused, or not the right file)."""


class WeightsInvalid(ModelError):
    """A weights file is there but must not be used: wrong digest, wrong shapes, not finite."""

    reason = "Its weights or their receipt are damaged."

"""What the service says to its callers, in Chinese. Codes are the same in every language, and so is the log."""

import re
from typing import NamedTuple

from app.errors import ServiceError

TAG = "zh-CN"

TITLES = {
    "internal": "服务内部错误",
    "missing_file": "请求中没有图片",
    "malformed_request": "请求格式有误",
    "unauthorized": "需要有效的 API 密钥",
    "forbidden": "没有权限",
    "misdirected_request": "主机名不属于本服务",
    "not_found": "路径不存在",
    "model_not_found": "模型不存在",
    "method_not_allowed": "不支持该请求方法",
    "upload_timeout": "上传过慢",
    "payload_too_large": "上传内容过大",
    "too_many_pixels": "图片像素过多",
    "too_costly": "图片解码开销过大",
    "unsupported_media_type": "不支持该图片格式",
    "undecodable_image": "图片无法解码",
    "invalid_parameter": "参数无效",
    "queue_full": "服务已满负荷",
    "too_many_requests": "同时发出的请求过多",
    "not_ready": "服务尚未就绪",
    "draining": "服务正在关闭",
    "deadline_exceeded": "已超过时限",
    "evaluation_too_large": "评估的规模过大",
}

# As they stand in the code; {} is what differs from one occurrence to the next, {0} and {1} its places in Chinese.
SENTENCES = {
    # The request
    "The request is malformed.": "请求格式有误。",
    "The request is not valid HTTP/1.1.": "请求不是有效的 HTTP/1.1。",
    "The request has more than {} headers.": "请求头超过 {0} 个。",
    "The request's {} is longer than {} KiB.": "{0}超过 {1} KiB。",
    "The request's head did not arrive within {} s.": "请求头未在 {0} 秒内到达。",
    "An upgrade cannot be offered together with a chunked body.": "分块传输的请求不能同时要求升级协议。",
    "There is nothing at this path; the API is described at /docs.": "该路径不存在；接口说明见 /docs。",
    "This path does not support that method.": "该路径不支持这种请求方法。",
    "This service does not answer to that host name (VGG_ALLOWED_HOSTS).": (
        "本服务不接受这个主机名（VGG_ALLOWED_HOSTS）。"
    ),
    # Keys
    "Send a valid key as X-API-Key or as a bearer token.": "请用 X-API-Key 请求头或 Bearer 令牌提供有效的密钥。",
    "Management calls need an admin key, and this service has none (VGG_ADMIN_KEYS).": (
        "管理类调用需要管理员密钥，而本服务没有设置（VGG_ADMIN_KEYS）。"
    ),
    "This key may not manage models; it takes an admin key.": "这个密钥不能管理模型，需要管理员密钥。",
    # Parameters
    "The query may have at most {} bytes.": "查询字符串最多 {0} 字节。",
    "There is no parameter {}; there are {}.": "没有参数 {0}；可用的有 {1}。",
    "There is no parameter {} here.": "这里没有参数 {0}。",
    "{} must be a whole number, at least {}.": "{0} 必须是不小于 {1} 的整数。",
    "{} is missing.": "缺少参数 {0}。",
    "{} must be a whole number.": "{0} 必须是整数。",
    "{} must be one of {}.": "{0} 只能是以下之一：{1}。",
    "{} must be at least {}.": "{0} 不能小于 {1}。",
    "{} must be at most {}.": "{0} 不能大于 {1}。",
    "{} may have at most {} characters.": "{0} 最多 {1} 个字符。",
    "{} must have a letter or a digit.": "{0} 至少要有一个文字或数字。",
    "{} is not valid.": "{0} 无效。",
    "top_k must be between 1 and {}, the classes of {}.": "top_k 必须在 1 到 {0} 之间，{1} 共有 {0} 个类别。",
    "{} must be a whole number of milliseconds from 1 to 999999999.": (
        "{0} 必须是 1 到 999999999 之间的整数，单位为毫秒。"
    ),
    # Several views
    "{} has no dense form: {} has no fully connected layers of a fixed size that could become convolutions. multi_crop "
    "works for every model.": (
        "{0} 没有稠密形式：{1} 没有可以改写为卷积的固定尺寸全连接层。multi_crop 适用于所有模型。"
    ),
    "{} cannot tell which place speaks for a class: it has no heatmap.": (
        "{0} 没有热力图：它无法指出图中哪个位置支持某个类别。"
    ),
    "crops belongs to multi_crop and dense_multi_crop, not to {}.": (
        "crops 只用于 multi_crop 和 dense_multi_crop，不能用于 {0}。"
    ),
    "scales does not go with auto, which looks at the model's own scale.": (
        "scales 不能与 auto 同时使用：auto 只按模型自身的尺度查看图片。"
    ),
    "scales must be whole numbers from {} to {}, separated by commas, such as 256,384,512.": (
        "scales 必须是 {0} 到 {1} 之间的整数，用逗号分隔，例如 256,384,512。"
    ),
    "scales are at most {} different ones.": "scales 最多 {0} 个，且不能重复。",
    "With heatmap, top_k may be at most {}.": "使用 heatmap 时，top_k 不能大于 {0}。",
    "This request asks for {} views; at most {} are allowed.": "这个请求要查看 {0} 个视图，最多允许 {1} 个。",
    "Its views have {} pixels; {} are allowed.": "所需的视图共 {0} 像素，最多允许 {1} 像素。",
    "The views of this photograph have {} pixels; {} are allowed for it.": (
        "这张照片的视图共 {0} 像素，最多允许 {1} 像素。"
    ),
    "At a scale of {} this photograph has {}x{} pixels; one that is looked at as a whole may have {}.": (
        "按尺度 {0} 缩放后，这张照片为 {1}×{2} 像素；整张查看时最多 {3} 像素。"
    ),
    # The upload
    "This content type cannot carry an image. {}": "这种 Content-Type 不能用来发送图片。{0}",
    "The request has no content type. {}": "请求没有 Content-Type。{0}",
    "The form has no file in a field named {}. {}": "表单的 {0} 字段里没有文件。{1}",
    "The uploaded file is empty.": "上传的文件是空的。",
    "The body did not arrive within {} s.": "请求体未在 {0} 秒内到达。",
    "An image may have at most {}.": "每张图片最多 {0}。",
    "An image may have at most {}, and a request at most {} files.": "每张图片最多 {0}，每个请求最多 {1} 个文件。",
    "The multipart body is broken.": "multipart 请求体已损坏。",
    "The multipart body ends before its last boundary.": "multipart 请求体不完整，缺少结束边界。",
    "The multipart content type has no boundary.": "multipart 的 Content-Type 没有给出 boundary。",
    "A part of the form has no name.": "表单中有一个 part 没有名称。",
    "The form has more than {} parts.": "表单的 part 超过 {0} 个。",
    "The form has more than {} files.": "表单中的文件超过 {0} 个。",
    "The form has more than one file; POST /predict/batch takes several.": (
        "表单中有多个文件；一次识别多张图片请用 POST /predict/batch。"
    ),
    # The image
    "The content is not an image in a supported format ({}).": "内容不是受支持格式的图片（支持 {0}）。",
    "The image's header is broken.": "图片文件头已损坏。",
    "The image has {}x{} pixels; a side may have at most {}.": "图片为 {0}×{1} 像素；每边最多 {2} 像素。",
    "The image has {}x{} pixels; at most {} are accepted.": "图片为 {0}×{1} 像素；像素总数最多 {2}。",
    "The {} image is truncated or corrupt.": "{0} 图片不完整或已损坏。",
    "The {} image is built to take unreasonably long to decode.": "这张 {0} 图片的结构会使解码时间过长。",
    "The {} image takes more memory to decode than its size accounts for.": (
        "解码这张 {0} 图片所需的内存超出了其尺寸应有的范围。"
    ),
    "The image takes more memory to decode than its size accounts for.": (
        "解码这张图片所需的内存超出了其尺寸应有的范围。"
    ),
    "The image takes longer to decode than any of its size should.": "解码这张图片所用的时间超出了其尺寸应有的范围。",
    "The image is corrupt: its decoder has failed on it.": "图片已损坏：解码器无法处理。",
    "Images of floating-point numbers, of 32-bit integers and in CIELAB are not supported.": (
        "不支持浮点数、32 位整数和 CIELAB 格式的图片。"
    ),
    "The image could not be read; the log says why.": "图片读取失败，原因见服务日志。",
    # Models
    "This service does not serve such a model. Served: {}.": "本服务没有加载这个模型。可用的模型：{0}。",
    "No model of that name has been prepared.": "没有准备过这个名称的模型。",
    "Another model is being loaded; one at a time.": "正在加载另一个模型；同一时间只能加载一个。",
    "The model cannot be loaded; the log says why. What was served still is.": (
        "模型无法加载，原因见服务日志。原有的模型仍可使用。"
    ),
    # Room and time
    "A key may have {} images in flight at once.": "每个密钥最多可以同时处理 {0} 张图片。",
    "{} of {} images are in flight.": "正在处理 {0} 张图片，上限为 {1} 张。",
    "Evaluations of {} views are in flight.": "正在处理的评估共有 {0} 个视图。",
    "A new request would wait {} s.": "新的请求需要等待 {0} 秒。",
    "The service has as many connections as it can hold.": "服务的连接数已达上限。",
    "The service holds as many uploads as it can.": "服务能容纳的上传已达上限。",
    "The uploads in flight fill the upload buffer.": "正在进行的上传已占满缓冲区。",
    "The uploads in flight fill the upload buffer, and this was the slowest.": (
        "正在进行的上传已占满缓冲区，而这个上传最慢。"
    ),
    "The uploads of this caller take as much memory as one may.": "该调用方的上传占用的内存已达上限。",
    "The request was not answered within {} s.": "请求未能在 {0} 秒内完成。",
    # The service
    "The service is not ready ({}): {}.": "服务尚未就绪（{0}）：{1}。",
    "The service is not ready: some of its processes are still starting.": "服务尚未就绪：部分进程仍在启动。",
    "The service is shutting down.": "服务正在关闭。",
    "The service is shutting down; send the request to another instance.": "服务正在关闭，请把请求发给其他实例。",
    "The service is about to shut down.": "服务即将关闭。",
    "The service was told to stop at once.": "服务收到了立即停止的指令。",
    "The service has failed and is stopping.": "服务发生故障，正在停止。",
    "An internal error occurred.": "服务内部发生错误。",
    "An internal error occurred; the log has it under this request id.": "服务内部发生错误，可凭此请求 ID 查阅日志。",
    "The network failed on this image.": "神经网络处理这张图片时出错。",
    "The network has failed and is being started again.": "神经网络发生故障，正在重新启动。",
    "The network's process failed on this request.": "推理进程处理这个请求时出错。",
    "The network's process has ended; another one is being started.": "推理进程已退出，正在启动新的进程。",
    "The network's process was replaced while this image was read.": "读取这张图片期间，推理进程已被替换。",
    "{} items went in, {} results came out": "送入 {0} 张图片，得到 {1} 个结果。",
}

# What may stand in the place of {}.
WORDS = {
    "head": "请求头",
    "framing": "分块信息",
    "none yet": "暂无",
    "Send multipart/form-data with a field named 'file', or the image's bytes as an image/* or "
    "application/octet-stream body.": (
        "请以 multipart/form-data 的 'file' 字段上传图片，"
        "或把图片的字节直接作为 image/* 或 application/octet-stream 的请求体发送。"
    ),
    "loading": "加载中",
    "failed": "已失败",
    "models are being loaded": "正在加载模型",
    "a model could not be loaded": "有模型未能加载",
    "the network's process has ended; another one is being started": "推理进程已退出，正在启动新的进程",
}


class Wording(NamedTuple):
    """An error as its caller reads it; ``language`` is what ``Content-Language`` says of it."""

    title: str
    detail: str
    language: str


def wording(error: ServiceError) -> Wording:
    """In Chinese. A detail that is not known here stays as it is, and the language says so."""
    detail = translated(error.detail)
    title = TITLES[error.code]
    return Wording(title, detail, TAG) if detail else Wording(title, error.detail, f"{TAG}, en")


def translated(detail: str) -> str | None:
    """A sentence of the service's in Chinese; ``None`` for one that is not known here."""
    fixed = SENTENCES.get(detail)
    if fixed is not None:
        return fixed
    for pattern, chinese in _PATTERNS:
        found = pattern.fullmatch(detail)
        if found:
            return chinese.format(*(WORDS.get(part, part) for part in found.groups()))
    return None


def _compiled() -> list[tuple[re.Pattern[str], str]]:
    """Those with a {}, what is most particular first."""
    templates = sorted((english for english in SENTENCES if "{}" in english), key=len, reverse=True)
    return [(re.compile("(.+?)".join(map(re.escape, one.split("{}"))), re.DOTALL), SENTENCES[one]) for one in templates]


_PATTERNS = _compiled()

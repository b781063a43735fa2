"""The words of the report, in each language that it is written in. What stands in braces is filled in by the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from app.model.labels import Label
from app.training.measurement import ORIGINS, Origin
from app.training.split import Part

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


@dataclass(frozen=True, slots=True)
class FactWords:
    """What was done, to make the model again: for each fact its name, and what is said of it."""

    base: tuple[str, str]
    scratch: tuple[str, str]
    trained: tuple[str, str]
    kept_augmentation: tuple[str, str]
    drawn_augmentation: tuple[str, str]
    images: tuple[str, str]
    left_out: tuple[str, str]
    split: tuple[str, str]
    look_alike: tuple[str, str]
    head: tuple[str, str]
    exported: tuple[str, str]
    seed: tuple[str, str]
    recipe: tuple[str, str]
    best_epoch: tuple[str, str]
    trained_though_held_out: tuple[str, str]
    platform: str
    parts: Mapping[Part, str]
    comma: str


@dataclass(frozen=True, slots=True)
class Wording:
    """``mistake`` and ``known_from`` are HTML, everything else is text."""

    tag: str
    title: str
    made: str
    seen: str
    accuracy_card: str
    origin_cards: Mapping[Origin, str]
    balanced_card: str
    macro_f1_card: str
    ten_crop_card: str
    temperature_card: str
    training: str
    loss: str
    accuracy: str
    training_line: str
    validation_nll_line: str
    validation_line: str
    more_pictures: str
    learning_chart: str
    no_gain: str
    gain: str
    confusion_matrix: str
    matrix_corner: str
    confusion_columns: tuple[str, str, str]
    classes: str
    class_columns: tuple[str, str, str, str, str, str]
    calibration: str
    reliability_chart: str
    before: str
    after: str
    after_temperature: str
    reliability_dot: str
    nll: str
    calibration_error: str
    calibration_note: str
    none_of_these: str
    known_chart: str
    known_from: str
    suspects: str
    suspects_note: str
    mistakes: str
    mistake: str
    nothing: str
    how_made: str
    facts: FactWords

    def names(self, label: Label) -> tuple[str, str]:
        """The class's name in this language, and in the other one."""
        return (label.label_zh, label.label_en) if self is CHINESE else (label.label_en, label.label_zh)


ENGLISH = Wording(
    tag="en",
    title="{name}: report",
    made="fine-tuned {time:%Y-%m-%d %H:%M} UTC",
    seen="The base was trained on {count} of these images: the figures flatter.",
    accuracy_card="of {count} images answered right (95% interval: {low:.1%} to {high:.1%})",
    origin_cards={origin: f"of {{count}} by {origin}: {meaning}" for origin, meaning in ORIGINS.items()},
    balanced_card="balanced accuracy: the mean over the classes",
    macro_f1_card="macro F1",
    ten_crop_card="of {count} the same images, with ten crops",
    temperature_card="temperature",
    training="Training",
    loss="Loss",
    accuracy="Accuracy",
    training_line="training",
    validation_nll_line="validation NLL",
    validation_line="validation",
    more_pictures="More pictures",
    learning_chart="Wrong answers after training on so many images",
    no_gain="Too few points, or too few mistakes, to say what more pictures would bring.",
    gain="With twice the pictures you would gain about {points:.1f} percentage points.",
    confusion_matrix="Confusion matrix",
    matrix_corner="shown \\ answered",
    confusion_columns=("shown", "answered", "times"),
    classes="Classes",
    class_columns=("class", "", "precision", "recall", "F1", "images"),
    calibration="Calibration",
    reliability_chart="Accuracy over confidence",
    before="before",
    after="after",
    after_temperature="after temperature",
    reliability_dot="{count} answers, confidence {confidence:.1%}, accuracy {accuracy:.1%}",
    nll="NLL",
    calibration_error="calibration error",
    calibration_note="Each image is judged by the temperature that the others ask for.",
    none_of_these="None of these",
    known_chart="Wrong among the answered (risk), over the share that is answered (coverage)",
    known_from=(
        "From a probability of {threshold:.3f} an answer counts as known: {coverage:.1%} of pictures like these, "
        "{risk:.2%} of them answered wrong. Below it the service says <code>known: false</code>."
    ),
    suspects="Labels that are probably wrong ({count})",
    suspects_note="By heads that have not seen them. All are in suspects.csv, the most suspicious first.",
    mistakes="Worst mistakes ({count} in all)",
    mistake="answered <b>{answered}</b> ({probability:.1%}), labelled {labelled}",
    nothing="None.",
    how_made="How it was made",
    facts=FactWords(
        base=("base", "{model}, weights SHA-256 {sha256}"),
        scratch=("base", "none: {init}"),
        trained=("trained", "{layers}"),
        kept_augmentation=("augmentation", "{augment}"),
        drawn_augmentation=("augmentation", "{augment}, scale {scale}"),
        images=("images", "{counts}"),
        left_out=("left out", "{count} files, see excluded.csv"),
        split=("split", "split.csv, SHA-256 {sha256}"),
        look_alike=("look alike", "{images} images in {groups} groups, each in one part and one fold"),
        head=(
            "head",
            "ridge {ridge:g}, {folds} folds, nearest mean {mean:.2%} ({right}/{count}, 95% {low:.2%} to {high:.2%})",
        ),
        exported=(
            "exported",
            "fitted on all images but the test part; the figures are those of the heads of the folds",
        ),
        seed=("seed", "{seed}"),
        recipe=("recipe", "{recipe}"),
        best_epoch=("best epoch", "{epoch}, by the validation part"),
        trained_though_held_out=("held out by the base", "{count} of the images that are trained on"),
        platform="platform",
        parts={"train": "train", "validation": "validation", "calibration": "calibration", "test": "test"},
        comma=", ",
    ),
)

CHINESE = Wording(
    tag="zh-CN",
    title="{name}：微调报告",
    made="微调完成于 {time:%Y-%m-%d %H:%M} UTC",
    seen="基础模型的训练数据中包含其中 {count} 张图片，因此以下指标偏乐观。",
    accuracy_card="{count} 张图片的准确率（95% 置信区间：{low:.1%} 至 {high:.1%}）",
    origin_cards={
        "cross-validation": "交叉验证，{count} 张：每张都由没有见过它的分类头作答",
        "calibration": "校准集，{count} 张：未参与训练，只用来拟合温度，而温度不会改变答案",
        "test": "测试集，{count} 张：未参与训练和任何选择",
    },
    balanced_card="平衡准确率：各类别召回率的平均值",
    macro_f1_card="宏平均 F1",
    ten_crop_card="同样的 {count} 张图片，十裁剪取平均后的准确率",
    temperature_card="温度",
    training="训练过程",
    loss="损失",
    accuracy="准确率",
    training_line="训练",
    validation_nll_line="验证 NLL",
    validation_line="验证",
    more_pictures="增加图片的收益",
    learning_chart="错误率随训练图片数的变化",
    no_gain="数据点或错误太少，无法估计增加图片能带来多少提升。",
    gain="图片数量翻一倍，准确率预计可提高约 {points:.1f} 个百分点。",
    confusion_matrix="混淆矩阵",
    matrix_corner="标注 \\ 预测",
    confusion_columns=("标注", "预测", "次数"),
    classes="各类别",
    class_columns=("类别", "", "精确率", "召回率", "F1", "图片数"),
    calibration="校准",
    reliability_chart="准确率与置信度的关系",
    before="校准前",
    after="校准后",
    after_temperature="温度校准后",
    reliability_dot="{count} 个答案，置信度 {confidence:.1%}，准确率 {accuracy:.1%}",
    nll="负对数似然（NLL）",
    calibration_error="校准误差",
    calibration_note="评估每张图片时，所用的温度由其余图片拟合得到。",
    none_of_these="不属于任何类别",
    known_chart="已作答部分的错误率（风险）随作答比例（覆盖率）的变化",
    known_from=(
        "概率不低于 {threshold:.3f} 的答案才算“认得”：同类图片中有 {coverage:.1%} 达到这一阈值，"
        "其中 {risk:.2%} 答错。低于该阈值时，服务返回 <code>known: false</code>。"
    ),
    suspects="疑似标注错误（{count} 张）",
    suspects_note="由没有见过这些图片的分类头判断。完整列表见 suspects.csv，最可疑的排在最前。",
    mistakes="错得最离谱的图片（共错 {count} 张）",
    mistake="预测为<b>{answered}</b>（{probability:.1%}），标注为{labelled}",
    nothing="无。",
    how_made="模型的来历",
    facts=FactWords(
        base=("基础模型", "{model}，权重 SHA-256 {sha256}"),
        scratch=("基础模型", "无，随机初始化：{init}"),
        trained=("训练的层", "{layers}"),
        kept_augmentation=("数据增强", "{augment}"),
        drawn_augmentation=("数据增强", "{augment}，尺度 {scale}"),
        images=("图片", "{counts}"),
        left_out=("未使用的文件", "{count} 个，见 excluded.csv"),
        split=("数据划分", "split.csv，SHA-256 {sha256}"),
        look_alike=("相似图片", "{images} 张，分为 {groups} 组，同组图片只出现在同一部分、同一折"),
        head=(
            "分类头",
            "岭系数 {ridge:g}，{folds} 折；"
            "最近类均值法的准确率 {mean:.2%}（{right}/{count}，95% 置信区间：{low:.2%} 至 {high:.2%}）",
        ),
        exported=("导出的分类头", "用测试集以外的全部图片拟合；报告中的指标来自各折的分类头"),
        seed=("随机种子", "{seed}"),
        recipe=("训练参数", "{recipe}"),
        best_epoch=("最佳轮次", "第 {epoch} 轮，由验证集选出"),
        trained_though_held_out=("基础模型的留出图片", "有 {count} 张用于本次训练"),
        platform="平台",
        parts={"train": "训练集", "validation": "验证集", "calibration": "校准集", "test": "测试集"},
        comma="，",
    ),
)

WORDINGS: Mapping[Language, Wording] = {"en": ENGLISH, "zh": CHINESE}

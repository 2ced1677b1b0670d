"""What every config group may hold: one dataclass per kind of option, every field MISSING, because values live in
conf/ alone.

A group option names its dataclass as the first entry of its defaults (`defaults: [schema_bm25, _self_]`), so a
misspelt key is an error wherever it stands. Nodes with a `_target_` are built by `run.py`; the others reach a stage
as instances of their dataclass. Imports nothing heavy: `tagpr --help`, `plan=true` and a config error must answer at
once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class Choice:
    """A node that is built: `_target_` is a class or function of this package that takes the other fields by
    keyword."""

    _target_: str = MISSING


# --- data/ ---------------------------------------------------------------------------------------------------------


@dataclass
class Data(Choice):
    """Base of the group: what the root schema types the node with."""

    seed: int = MISSING  # of a simulated world, or of the split of real people


@dataclass
class LampData(Data):
    root: str = MISSING  # a folder with one folder per task, or with one task's files
    tasks: list[str] = MISSING  # LaMP_1 .. LaMP_7, LaMP_2N; empty: every task that is there
    report: str = MISSING  # the official split that test people come from: dev or test
    people_shares: dict[str, float] = MISSING  # of train, dev and test
    folds: int | None = MISSING  # of people, each fold tested by a run of its own; null: the shares alone
    fold: int = MISSING  # the one that this run tests, from 0
    question_shares: dict[str, float] = MISSING  # of sft, pairs and rl, among train people's questions
    drop_golds_from: list[str] = MISSING  # purposes whose profiles lose other splits' and purposes' golds


@dataclass
class TableColumns:
    user: str = MISSING  # who answered
    text: str = MISSING  # what was in front of them
    answer: str = MISSING
    date: str | None = MISSING  # null: the rows are in time order
    title: str | None = MISSING  # a heading, shown before the text


@dataclass
class TableData(Data):
    path: str = MISSING  # .csv, .tsv, .jsonl, .ndjson or .parquet
    columns: TableColumns = field(default_factory=TableColumns)
    task: str = MISSING  # rating, label, headline, title or text
    queries_per_user: int = MISSING  # the last rows of each person
    train_queries_per_user: int | None = MISSING  # of train people; null: as many
    questions_in_history: bool = MISSING  # whether earlier questions stand in the history of later ones
    min_rows: int = MISSING  # people with fewer are left out
    max_rows: int | None = MISSING  # the latest of each person; null: all
    max_users: int | None = MISSING  # null: all
    max_characters: int = MISSING  # longer texts are cut, rows with longer answers left out
    people_shares: dict[str, float] = MISSING  # of train, dev and test
    folds: int | None = MISSING  # of people, each fold tested by a run of its own; null: the shares alone
    fold: int = MISSING  # the one that this run tests, from 0
    question_shares: dict[str, float] = MISSING  # of sft, pairs and rl, among train people's questions
    drop_golds_from: list[str] = MISSING  # purposes whose profiles lose other splits' and purposes' golds
    licence: str = MISSING  # of the data, for its card


@dataclass
class SimulatedSize:
    train: int = MISSING  # people
    dev: int = MISSING
    test: int = MISSING
    tasks: list[str] = MISSING  # out of S1, S2, S3, S4, S5, S7
    families: list[str] = MISSING  # of the population
    profile_entries: int = MISSING  # earlier answers per person and task


@dataclass
class WorldGates:
    min_gap: float = MISSING  # blind optimum, population majority, nearest entry below Bayes, in score
    vote_gap: float = MISSING  # BM25 vote below Bayes
    blind_slack: float = MISSING  # trained blind model above the blind optimum; a probe above the commonest value
    calibration: float = MISSING  # Bayes answers' score minus what they expect
    weather: float = MISSING  # share of weather that goes with its aspect, minus what is stated
    length: float = MISSING  # a group's mean words of a question from that of all, in standard deviations
    position: float = MISSING  # share of [1] minus a half
    sampling_errors: float = MISSING  # standard errors that sampled figures' bounds are widened by


@dataclass
class SimulatedQuestions:
    sft: int = MISSING
    pairs: int = MISSING
    rl: int = MISSING
    dev: int = MISSING
    test: int = MISSING


@dataclass
class SimulatedData(Data):
    size: str = MISSING  # one of `sizes`
    sizes: dict[str, SimulatedSize] = MISSING
    tasks: list[str] | None = MISSING  # null: the size's
    families: list[str] | None = MISSING  # null: the size's
    profile_entries: int | None = MISSING  # null: the size's
    held_out_family: str | None = MISSING  # a family that test people alone have; null: none
    questions: SimulatedQuestions = MISSING  # per person and task
    answers_per_query: float = MISSING  # people who answer one query, on average
    noise: float = MISSING  # share of answers that are slips
    held_out_frames: float = MISSING  # share of test people's texts in patterns that nobody else's use
    held_out_words: float = MISSING  # share of test people's texts in words that nobody else's use
    all_mentioned: float = MISSING  # share of S2 texts that mention three aspects, not two
    min_decoys: int = MISSING  # small things in a text, the kind among them
    max_decoys: int = MISSING
    weather_strength: float = MISSING  # chance that a named weather goes with food or mood
    gates: dict[str, WorldGates] = MISSING  # size -> bounds


# --- prompt/ -------------------------------------------------------------------------------------------------------


@dataclass
class PromptStyle(Choice):
    """Base of the group: what every option takes."""

    thinking: bool = MISSING  # whether the model is asked to think before it answers


@dataclass
class QuestionPrompt(PromptStyle):
    query_tokens: int = MISSING  # a longer question is cut at its end


@dataclass
class HistoryPrompt(QuestionPrompt):
    history_tokens: int = MISSING  # all entries together
    entry_tokens: int = MISSING  # one entry; its input is cut, never its response
    order: str = MISSING  # ranked (best first) or time (oldest first)


@dataclass
class OfficialPrompt(PromptStyle):
    max_input_tokens: int = MISSING  # the whole message: LaMP's L


# --- retrieval/ ----------------------------------------------------------------------------------------------------


@dataclass
class Retrieval(Choice):
    """Base of the group: the root schema types the node with it, the options extend it."""


@dataclass
class TopK(Retrieval):
    k: int = MISSING  # entries kept, best first


@dataclass
class DenseRetrieval(TopK):
    model: str = MISSING  # a sentence-transformers model: a folder, or its name on the hub
    revision: str | None = MISSING  # of a model on the hub; null: the newest
    batch_size: int = MISSING  # texts encoded at a time
    device: str = MISSING


# --- tags/ ---------------------------------------------------------------------------------------------------------


@dataclass
class TagVocabulary(Choice):
    names: list[str] = MISSING  # out of tagpr.chains.tags.TAGS; empty: chains without tags


# --- teacher/, tagger/, chains/ --------------------------------------------------------------------------------------


@dataclass
class Teacher(Choice):
    """Base of the group; an option says which dials its teacher has."""


@dataclass
class ScriptedTeacher(Teacher):
    habit: float = MISSING  # share of chains that ignore the history
    error_rate: float = MISSING  # chance that an entry is misread or a decision slips
    examples: int = MISSING  # entries examined per chain
    typical_rating: str = MISSING  # what the habit gives where a rating is asked


@dataclass
class KnownFamilies:
    of_data: list[str] | None = MISSING  # what data.families says; null: nothing
    of_size: list[str] | None = MISSING  # what the data's size says; null: all
    held_out: str | None = MISSING  # a family that train people do not have; null: none


@dataclass
class ScriptedWorldTeacher(Teacher):
    families: KnownFamilies = MISSING  # which the teacher knows of
    slip: float = MISSING  # how often it takes people to answer against their rule
    examples: int = MISSING  # entries cited
    error_rate: float = MISSING  # per reading or decision
    habit: float = MISSING  # share of chains that decide for the typical person, whatever the history says
    habit_consistency: float = MISSING  # share of them among chains about a habitual kind of item; >= habit


@dataclass
class PretrainedTeacher(Teacher):
    path: str = MISSING  # a local folder or a hub id
    dtype: str = MISSING  # of the weights: float32, bfloat16, auto
    attention: str = MISSING  # as a backbone's
    thinking: bool = MISSING  # what the chat template is told of `enable_thinking`
    temperature: float = MISSING  # 0: greedy
    top_p: float = MISSING
    top_k: int = MISSING
    max_new_tokens: int = MISSING  # of a reply, hidden thinking included
    batch_tokens: int = MISSING  # key-value slots of a batch, after which replies are kept
    engine: Engine = MISSING


@dataclass
class Endpoint:
    """A model behind an OpenAI-compatible endpoint, and how it is asked."""

    base_url: str | None = MISSING  # null: OpenAI's own
    model: str = MISSING  # as the endpoint names it
    key_env: str | None = MISSING  # environment variable that holds the key; null: the server asks for none
    temperature: float | None = MISSING  # null: not sent, as some models want it; top_p alike
    top_p: float | None = MISSING
    max_tokens: int = MISSING  # of a reply, hidden thinking included
    length_field: str = MISSING  # what the endpoint calls max_tokens
    sends_seed: bool = MISSING  # false for endpoints that take none
    concurrency: int = MISSING  # requests at once
    timeout_s: float = MISSING  # of one try
    retries: int = MISSING  # tries after the first where the trouble may pass (429, 5xx, timeout, garbage)
    first_wait_s: float = MISSING  # before a try is repeated; doubles each time, with jitter
    longest_wait_s: float = MISSING  # a server that asks for a longer wait is not asked again
    attempts: int = MISSING  # replies asked for until one can be read
    max_failed: float = MISSING  # largest share of requests without an answer before the stage stops


@dataclass
class OpenAITeacher(Endpoint, Teacher):
    """teacher=openai"""


@dataclass
class Tagger(Choice):
    """Base of the group, and all that the rules tagger takes."""


@dataclass
class LlmTagger(Endpoint, Tagger):
    asks_for_schema: bool = MISSING  # the reply's JSON schema is sent; where an endpoint refuses it, it is left out


@dataclass
class ChainFilter(Choice):
    strictness: float = MISSING  # chance that a chain below the task's bar is rejected for it
    text_quantile: float = MISSING  # text tasks' bar among the scores of all chains
    min_words: int = MISSING
    max_words: int = MISSING
    max_copied_share: float = MISSING  # of a chain's words, in runs of 12 words or more
    duplicate_overlap: float = MISSING  # share of word 3-grams from which on two chains are the same


@dataclass
class Chains(Choice):
    num_samples: int = MISSING  # chains that the teacher writes per record
    dev_records: int = MISSING  # most dev people's questions that get chains
    train_people: int | None = MISSING  # train people who get chains, the smaller number among the larger; null: all
    filter: ChainFilter = field(default_factory=ChainFilter)


# --- trainer/, optimizer/, schedule/: every stage that trains has them -----------------------------------------------


@dataclass
class TrainerSettings:
    accelerator: str = MISSING  # cpu, cuda or mps
    devices: int = MISSING  # processes that share every batch of training, on one machine
    strategy: str = MISSING  # auto or ddp
    precision: str = MISSING  # 32-true, bf16-mixed or bf16-true
    threads: int = MISSING  # of torch, within one process
    checkpoint_every: int = MISSING  # optimizer steps
    keep_last: int = MISSING  # checkpoints kept per stage


@dataclass
class Schedule(Choice):
    _partial_: bool = True
    warmup_steps: int = MISSING


@dataclass
class Decay(Schedule):
    final_factor: float = MISSING  # share of the learning rate left at the last step


@dataclass
class Optimizer(Choice):
    _partial_: bool = True
    learning_rate: float = MISSING


@dataclass
class AdamW(Optimizer):
    betas: tuple[float, float] = MISSING
    eps: float = MISSING
    weight_decay: float = MISSING  # on matrices


@dataclass
class OptimizerSettings(Choice):
    """Base of the group `optimizer`; an option says what `create` takes."""

    create: Optimizer = MISSING
    schedule: Schedule = MISSING
    clip_norm: float = MISSING  # largest global gradient norm


@dataclass
class AdamWSettings(OptimizerSettings):
    create: AdamW = field(default_factory=AdamW)


# --- sft/ ------------------------------------------------------------------------------------------------------------


@dataclass
class Sft(Choice):
    steps: int = MISSING
    batch_size: int = MISSING  # chains per optimizer step
    micro_batch_tokens: int = MISSING  # tokens that go through the model at a time
    chunk_size: int = MISSING  # completion tokens whose logits exist at a time
    validate_every: int = MISSING  # steps; 0: never
    dev_records: int = MISSING  # most records to validate on
    keep_best: bool = MISSING  # end with the weights of the lowest dev loss, not the last
    optimizer: OptimizerSettings = MISSING


# --- pairs/, prmu/, prmu/arch/, prmu/gate/ ---------------------------------------------------------------------------


@dataclass
class PairSource(Choice):
    """Base of the group: what the root schema types the node with."""


@dataclass
class ImportedPairs(PairSource):
    path: str | None = MISSING  # required: .jsonl or .parquet in TRL's preference format, with a user column
    histories: str | None = MISSING  # .jsonl of people's pasts; null: a column of the pairs
    user_column: str = MISSING
    task: str | None = MISSING  # required: of rows without a column `task`
    dev_people_share: float = MISSING  # people whose pairs are not trained on
    dev_query_share: float = MISSING  # of queries that train and dev people share
    max_pairs: int = MISSING  # most training pairs
    shortcut_limit: float = MISSING  # accuracy above which a user-blind rule is reported


@dataclass
class Pairs(PairSource):
    mix: dict[str, float] = MISSING  # share of each type, relative to their sum: N1 N1_label N2 N3 N4 N5 N6; 0: none
    max_pairs: int = MISSING  # most training pairs
    people_per_query: int = MISSING  # N1: people of a query that are compared with one another
    labels_per_record: int = MISSING  # N1_label: draws per record
    label_margin: float = MISSING  # N1_label where queries are not shared: nats that a user-blind model may prefer by
    samples: int = MISSING  # N4, N2: answers per train prompt
    dev_samples: int = MISSING  # answers per dev prompt
    no_history_samples: int = MISSING  # N3: answers to choose the length match from
    other_history_samples: int = MISSING  # N2: answers under another person's history
    lender_candidates: int = MISSING  # N2: people whose histories are compared in size
    length_band: float = MISSING  # N2: share by which the histories' characters may differ
    max_prompts: int = MISSING  # most train records that the policy answers, per type
    dev_prompts: int = MISSING  # dev records that it answers, per type
    min_gap: float = MISSING  # N2, N4: official score by which the chosen answer leads
    max_length_ratio: float = MISSING  # N2, N3, N4 in text tasks: longer over shorter side, in tokens
    negatives_per_record: int = MISSING  # N4
    dev_query_share: float = MISSING  # of queries that train and dev people share
    shortcut_limit: float = MISSING  # accuracy of a shortcut model on N1 and N2 above which the pairs are at fault
    temperature: float = MISSING
    max_new_tokens: int = MISSING


@dataclass
class PrmuArch(Choice):
    """Base of the group, and all that the agnostic control takes. Built partially: the stage adds hidden_size."""

    _partial_: bool = MISSING


@dataclass
class BilinearArch(PrmuArch):
    dim: int = MISSING  # of a user vector
    prior_entries: float = MISSING  # entries that the generic user counts for
    recency_buckets: int = MISSING  # ages of entries told apart; 0: their order is not read
    pooling: str = MISSING  # mean_attention or query_aware


@dataclass
class BasisArch(BilinearArch):
    num_prototypes: int = MISSING  # tastes that people are mixtures of


@dataclass
class HistoryTextArch(PrmuArch):
    history_tokens: int = MISSING  # that past entries may take as text


@dataclass
class SimilarityArch(PrmuArch):
    prior_entries: float = MISSING


@dataclass
class PrmuGate(Choice):
    num_resamples: int = MISSING  # bootstrap draws


@dataclass
class PrmuObjective(Choice):
    margin: float = MISSING  # reward by which chosen should lead
    temperature: float = MISSING  # of the training loss
    contrast_weight: float = MISSING  # of the personal contrast
    l2: float = MISSING  # on rewards


@dataclass
class Prmu(Choice):
    arch: PrmuArch = MISSING
    objective: PrmuObjective = field(default_factory=PrmuObjective)
    gate: PrmuGate = MISSING
    optimizer: OptimizerSettings = MISSING
    steps: int = MISSING
    block_pairs: int = MISSING  # pairs that a block has at least; smaller ones are bundled
    blocks_per_step: int = MISSING  # blocks of linked pairs per optimizer step
    blocks_per_micro_batch: int = MISSING
    max_dropout: float = MISSING  # largest share of history entries dropped in training
    train_entries: int = MISSING  # entries of a history read in training
    max_entries: int = MISSING  # the same when scoring
    max_tokens: int = MISSING  # longest text
    batch_tokens: int = MISSING  # padded tokens of one forward pass
    cache_texts: int = MISSING  # encoded texts remembered while scoring
    seen_share: float = MISSING  # queries of train people held out
    judged_pairs: int = MISSING  # most pairs, held out and dev each, that figures are made of
    validate_every: int = MISSING  # steps; 0: never
    select_by: str = MISSING  # which validated weights are kept: best_of_n, swap_accuracy or last
    patience: int | None = MISSING  # end after so many validations without better weights; null: after all steps
    reference_people: int = MISSING  # per task, whose opinion the reward takes out
    reference_answers: int = MISSING  # per query, that the reward is centred on
    calibration_bins: int = MISSING


# --- backbone/, engine/ ----------------------------------------------------------------------------------------------


@dataclass
class Backbone(Choice):
    """Base of the group, and all that the shipped base takes."""

    dtype: str = MISSING  # of the weights: float32, bfloat16, auto
    attention: str = MISSING  # two_part, flex (on a GPU), or an implementation of transformers


@dataclass
class PretrainedBackbone(Backbone):
    path: str = MISSING  # a local folder or a hub id


@dataclass
class FreshBackbone(Backbone):
    hidden_size: int = MISSING
    intermediate_size: int = MISSING
    num_layers: int = MISSING
    num_heads: int = MISSING
    num_kv_heads: int = MISSING
    head_dim: int = MISSING
    max_positions: int = MISSING
    init_std: float = MISSING
    seed: int = MISSING  # of the initial weights


@dataclass
class Adapter(Choice):
    """Base of the group, and all that full training takes."""


@dataclass
class LoraAdapter(Adapter):
    rank: int = MISSING
    alpha: float = MISSING  # the adapter's product is scaled by alpha / rank
    dropout: float = MISSING
    target_modules: list[str] = MISSING  # names of linear layers


@dataclass
class Engine(Choice):
    """Base of the group, and all that the reference engine takes. Built partially: a stage adds the tokenizer."""

    _partial_: bool = MISSING
    device: str = MISSING  # where a stage that trains nothing puts the policy: cpu, cuda, cuda:1, mps


@dataclass
class TorchEngine(Engine):
    max_tokens: int = MISSING  # key-value slots of a batch: prompts * (longest prompt + samples * max_new_tokens)


# --- reward/, reward/term/, reward/combine/ --------------------------------------------------------------------------


@dataclass
class RewardScore(Choice):
    """(rollouts) -> (B, G), or a class that opens one when the stage runs."""

    _partial_: bool = False


@dataclass
class TagScore(RewardScore):
    min_words: int = MISSING  # a sane length of a required span
    max_words: int = MISSING
    probed: int = MISSING  # rollouts of a window whose cheap imitations are scored beside them; 0: none


@dataclass
class PrmuTerm(RewardScore):
    blind_share: float = MISSING  # lambda: share of the user-blind part that is taken out
    clip: float = MISSING  # of the standardised reward
    max_records: int = MISSING  # prompts scored in one go
    cache_texts: int = MISSING  # encoded texts that are remembered
    device: str = MISSING  # where it judges


@dataclass
class RewardTerm(Choice):
    weight: float = MISSING  # alpha, beta or gamma; a stage pays a share of it
    score: RewardScore | None = MISSING  # null: the run does not have this term


@dataclass
class TagTerm(RewardTerm):
    score: TagScore | None = field(default_factory=TagScore)


@dataclass
class PersonalTerm(RewardTerm):
    score: PrmuTerm | None = field(default_factory=PrmuTerm)


@dataclass
class Combine(Choice):
    _partial_: bool = True


@dataclass
class AdditiveCombine(Combine):
    gate_weight: float = MISSING  # what a readable answer earns by itself


@dataclass
class TagGate(Choice):
    _partial_: bool = True


@dataclass
class Reward(Choice):
    terms: dict[str, RewardTerm] = MISSING
    tag_gate: TagGate = MISSING  # what shut tags cost: their own reward, or all of it
    combine: Combine = MISSING


# --- advantage/, policy_loss/ ----------------------------------------------------------------------------------------


@dataclass
class Advantage(Choice):
    _partial_: bool = True


@dataclass
class DecoupledAdvantage(Advantage):
    gate_weight: float = MISSING  # of g_answer as a term


@dataclass
class SegmentAdvantage(Advantage):
    """Credits tokens: losses with one ratio per rollout cannot follow it."""

    _partial_: bool = False
    span_weight: float = MISSING  # of the spans' advantages beside the rollout's own
    process: Choice = MISSING  # what a span is paid for


@dataclass
class OracleAdvantage(SegmentAdvantage):
    """Paid by truth that only a simulated world knows."""


@dataclass
class PolicyLoss(Choice):
    _partial_: bool = True
    clip_low: float = MISSING  # ratios below 1 - clip_low are cut where the advantage is negative
    clip_high: float = MISSING  # ratios above 1 + clip_high are cut where it is positive


@dataclass
class RolloutLoss(PolicyLoss):
    """One ratio per rollout."""


# --- rl/, rl/stage/, rl/schedule/ ------------------------------------------------------------------------------------


@dataclass
class WeightSchedule(Choice):
    _partial_: bool = True


@dataclass
class WeightDecay(WeightSchedule):
    terms: list[str] = MISSING  # whose weights fall to 0


@dataclass
class RlStage(Choice):
    share: float = MISSING  # of rl.steps, so that arms cost the same whatever their stages
    weights: dict[str, float] = MISSING  # what the stage pays of each reward term's weight
    schedule: WeightSchedule = MISSING


@dataclass
class WindowGuard(Choice):
    patience: int = MISSING  # useless windows in a row that stop the run
    max_truncated: float = MISSING  # share of completions cut off by max_new_tokens


@dataclass
class KlPenalty(Choice):
    measured: bool = MISSING  # log it although it costs nothing; needs a second copy of the policy
    in_reward: float = MISSING  # per nat of a rollout (k1); 0: off
    in_loss: float = MISSING  # per nat, mean over tokens (k2); 0: off


@dataclass
class OverlongPenalty(Choice):
    weight: float = MISSING  # of the penalty in the reward; 0: off
    buffer: int = MISSING  # tokens before max_new_tokens over which it grows to 1


@dataclass
class Rl(Choice):
    """What all stages share, then the stages and their order."""

    steps: int = MISSING  # optimizer steps, stages that share them together
    prompts_per_window: int = MISSING
    rollouts_per_prompt: int = MISSING
    updates_per_window: int = MISSING  # optimizer steps from one window of rollouts
    temperature: float = MISSING
    max_new_tokens: int = MISSING
    micro_batch_tokens: int = MISSING  # tokens that go through the model at a time
    method: str = MISSING  # how log-probs are computed: two_part (on CPU), flex (on GPU), dense or padded
    chunk_size: int = MISSING  # completion tokens whose logits exist at a time
    purposes: list[str] = MISSING  # whose train questions RL may ask: rl, and pairs where no PRMU spends their golds
    gold_fraction: float = MISSING  # share of the RL questions whose gold the task reward may see
    min_std: float = MISSING  # a group whose rewards vary less than this has no advantages
    kl: KlPenalty = MISSING  # distance to the policy that the stage began with
    overlong: OverlongPenalty = MISSING
    entropy_weight: float = MISSING  # of the mean entropy per token, in the loss; 0: off
    importance_cap: float | None = MISSING  # of weights between the sampler's log-probs and the trainer's; null: none
    extra_rounds: int = MISSING  # in which prompts without variance in the task reward are replaced; 0: off
    dev_records: int = MISSING  # questions of dev people for the curve; 0: none
    dev_every: int = MISSING  # steps
    keep_best: bool = MISSING  # end with the weights of the best dev score, not the last
    guard: WindowGuard = MISSING
    optimizer: OptimizerSettings = MISSING
    stages: dict[str, RlStage] = MISSING
    order: list[str] = MISSING


# --- evaluation/ -----------------------------------------------------------------------------------------------------


@dataclass
class Decoding:
    """How test answers are drawn."""

    temperature: float = MISSING  # 0: greedy
    top_p: float = MISSING
    top_k: int = MISSING
    max_new_tokens: int = MISSING
    num_samples: int = MISSING  # answers per question


@dataclass
class EvaluatedPeople:
    """Who is evaluated."""

    splits: list[str] = MISSING
    max_records: int | None = MISSING  # an even sample of them; null: all


@dataclass
class TableRow:
    policy: str = MISSING  # backbone, sft or rl_<stage>
    history: bool = MISSING  # the run's own prompt; false: the question alone
    thinking: bool | None = MISSING  # null: as the run's prompt says
    entries: int | None = MISSING  # most retrieved entries that prompts show, best first; null: all


@dataclass
class ComparedRow:
    ablation: str = MISSING  # the preset that makes the policy
    policy: str = MISSING  # sft or rl_<stage> of that preset


@dataclass
class ListedContrast:
    row: str = MISSING  # a row of the table, or <run_name>/<row>
    against: str = MISSING


@dataclass
class Evaluation:
    people: EvaluatedPeople = MISSING
    choice: EvaluatedPeople = MISSING  # by whose answers the best untrained row is chosen
    question: PromptStyle = MISSING  # the prompt of rows without history
    rows: dict[str, TableRow] = MISSING  # rl_<stage> rows come by themselves
    compare: dict[str, ComparedRow] = MISSING  # policies of other presets
    decodings: dict[str, Decoding] = MISSING
    contrasts: dict[str, ListedContrast] = MISSING  # what tables test and may claim


# --- diagnostics/ ----------------------------------------------------------------------------------------------------


@dataclass
class SwapSettings:
    """Whether a policy reads the person or only a history."""

    policies: list[str] = MISSING  # sft, rl_<stage>, or `last`: the run's last one
    max_records: int | None = MISSING  # an even sample of the test questions; null: all
    max_new_tokens: int = MISSING
    candidates: int = MISSING  # people who are looked at for a history of the same size, nearest first
    length_band: float = MISSING  # largest share by which their history may be longer or shorter


@dataclass
class AttributionSettings:
    """What each step of the reasoning does for the answer."""

    policies: list[str] = MISSING  # sft, rl_<stage>, or `last`: the run's last one
    max_records: int | None = MISSING  # an even sample of the test questions; null: all
    max_new_tokens: int = MISSING


@dataclass
class Diagnostics:
    """Beside the scores: is it personal, and by which steps? Each part null: not asked."""

    swap: SwapSettings | None = MISSING
    attribution: AttributionSettings | None = MISSING


# --- logger/, paths/, and the whole ----------------------------------------------------------------------------------


@dataclass
class LoggerSettings:
    mode: str = MISSING  # W&B: offline, online or disabled
    project: str = MISSING


@dataclass
class Paths:
    runs: str = MISSING  # where run folders and the cache of finished stages are kept


@dataclass
class Config:
    """The whole configuration."""

    experiment_name: str = MISSING
    run_name: str = MISSING
    seed: int = MISSING  # of the world where data is simulated, and of every training stage
    data: Data = MISSING
    retrieval: Retrieval = MISSING
    prompt: PromptStyle = MISSING
    tags: TagVocabulary = MISSING
    teacher: Teacher = MISSING
    tagger: Tagger = MISSING
    chains: Chains = MISSING
    backbone: Backbone = MISSING
    adapter: Adapter = MISSING
    engine: Engine = MISSING
    sft: Sft = MISSING
    pairs: PairSource = MISSING
    prmu: Prmu = MISSING
    reward: Reward = MISSING
    rl: Rl = MISSING
    advantage: Advantage = MISSING
    policy_loss: PolicyLoss = MISSING
    evaluation: Evaluation = MISSING
    diagnostics: Diagnostics = MISSING
    trainer: TrainerSettings = MISSING
    logger: LoggerSettings = MISSING
    paths: Paths = MISSING
    plan: bool = MISSING  # say what would run, and run nothing
    until: str | None = MISSING  # the last stage to run
    only: str | None = MISSING  # this stage alone; what it needs must be finished
    force: str | None = MISSING  # compute this stage again although it is finished


# --- registration: (group, name of the schema, dataclass); keep the order of the path --------------------------------

SCHEMAS: tuple[tuple[str, str, Any], ...] = (
    ("data", "schema_data", Data),
    ("data", "schema_lamp_data", LampData),
    ("data", "schema_table_data", TableData),
    ("data", "schema_simulated", SimulatedData),
    ("data/gates", "schema_world_gates", WorldGates),
    ("prompt", "schema_question_prompt", QuestionPrompt),
    ("prompt", "schema_history_prompt", HistoryPrompt),
    ("prompt", "schema_official_prompt", OfficialPrompt),
    ("retrieval", "schema_retrieval", Retrieval),
    ("retrieval", "schema_top_k", TopK),
    ("retrieval", "schema_dense_retrieval", DenseRetrieval),
    ("backbone", "schema_backbone", Backbone),
    ("backbone", "schema_pretrained", PretrainedBackbone),
    ("backbone", "schema_fresh", FreshBackbone),
    ("adapter", "schema_adapter", Adapter),
    ("adapter", "schema_lora", LoraAdapter),
    ("engine", "schema_engine", Engine),
    ("engine", "schema_torch_engine", TorchEngine),
    ("trainer", "schema_trainer", TrainerSettings),
    ("schedule", "schema_schedule", Schedule),
    ("schedule", "schema_decay", Decay),
    ("optimizer", "schema_adamw", AdamWSettings),
    ("sft", "schema_sft", Sft),
    ("pairs", "schema_pairs", Pairs),
    ("pairs", "schema_imported_pairs", ImportedPairs),
    ("prmu/arch", "schema_prmu_arch", PrmuArch),
    ("prmu/arch", "schema_bilinear", BilinearArch),
    ("prmu/arch", "schema_basis", BasisArch),
    ("prmu/arch", "schema_history_text", HistoryTextArch),
    ("prmu/arch", "schema_similarity", SimilarityArch),
    ("prmu/gate", "schema_prmu_gate", PrmuGate),
    ("prmu", "schema_prmu", Prmu),
    ("tags", "schema_tag_vocabulary", TagVocabulary),
    ("teacher", "schema_teacher", Teacher),
    ("teacher", "schema_scripted_teacher", ScriptedTeacher),
    ("teacher", "schema_scripted_world", ScriptedWorldTeacher),
    ("teacher", "schema_pretrained_teacher", PretrainedTeacher),
    ("teacher", "schema_openai_teacher", OpenAITeacher),
    ("tagger", "schema_tagger", Tagger),
    ("tagger", "schema_llm_tagger", LlmTagger),
    ("chains", "schema_chains", Chains),
    ("reward/term", "schema_reward_term", RewardTerm),
    ("reward/term", "schema_tag_term", TagTerm),
    ("reward/term", "schema_personal_term", PersonalTerm),
    ("reward/combine", "schema_combine", Combine),
    ("reward/combine", "schema_additive_combine", AdditiveCombine),
    ("reward/tag_gate", "schema_tag_gate", TagGate),
    ("reward", "schema_reward", Reward),
    ("advantage", "schema_advantage", Advantage),
    ("advantage", "schema_decoupled_advantage", DecoupledAdvantage),
    ("advantage", "schema_segment_advantage", SegmentAdvantage),
    ("advantage", "schema_oracle_advantage", OracleAdvantage),
    ("policy_loss", "schema_policy_loss", PolicyLoss),
    ("policy_loss", "schema_rollout_loss", RolloutLoss),
    ("rl/schedule", "schema_weight_schedule", WeightSchedule),
    ("rl/schedule", "schema_weight_decay", WeightDecay),
    ("rl/stage", "schema_rl_stage", RlStage),
    ("rl", "schema_rl", Rl),
    ("evaluation", "schema_evaluation", Evaluation),
    ("diagnostics", "schema_diagnostics", Diagnostics),
    ("logger", "schema_logger", LoggerSettings),
    ("paths", "schema_paths", Paths),
    ("", "schema_config", Config),
)


def register() -> None:
    """Put every schema into Hydra's config store. Safe to call twice."""
    store = ConfigStore.instance()
    for group, name, node in SCHEMAS:
        store.store(group=group or None, name=name, node=node)

"""What each view shows, as SQL that both databases understand once `views` has put their own words into it.

Written in terms of the tables as they are now. The names and the order of a view's columns are a promise: a later
version may add columns at the end, and nothing else.

Some words stand for what the databases write differently: HEX(column) is a digest in hex digits, INSTANT(column) a
time, JSON(column) text that holds JSON, OBJECT(name, value, …) a JSON object, LIST(value) a JSON list of what a group
has, CLOCK() the database's clock. JOIN EACH(column) joins the items of a JSON list, of which PLACE() is the number from
1, FIELD(name) a text in it and NUMBER(name) a number. MONTH(column) is 202407 as 2024-07, and null for 0.
GENERATION(operation) is what readers see of a corpus. `$name` is one of the fragments below.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class View:
    """A view: its name, what a row of it is, its columns with their meaning in their order, and its SELECT."""

    name: str
    row: str
    columns: dict[str, str]
    select: str


#: Parts that several views share. `newest` names, for each corpus and operation, the results that commands show: those
#: of the newest finished job. `current` are the records of the sources as they stand now, of equal keys the last one.
FRAGMENTS = {
    "newest": """
        SELECT corpus_id, operation, fingerprint
        FROM (
            SELECT corpus_id, operation, fingerprint,
                ROW_NUMBER() OVER (
                    PARTITION BY corpus_id, operation ORDER BY MAX(finished_at) DESC, MAX(id) DESC
                ) AS place
            FROM jobs
            WHERE state IN ('DONE', 'DONE_WITH_DEAD')
            GROUP BY corpus_id, operation, fingerprint
        ) AS finished
        WHERE place = 1
    """,
    "current": """
        SELECT corpora.name AS corpus, records.corpus_id, records.key, records.sha256, sources.uri,
            records."offset", records.length, records.metadata, records.created_at
        FROM documents AS records
        JOIN corpora ON corpora.id = records.corpus_id
        LEFT JOIN sources ON sources.id = records.source_id AND sources.version = records.source_version
        WHERE (records.source_id = 0 OR sources.id IS NOT NULL)
        AND NOT EXISTS (
            SELECT 1 FROM documents AS later
            LEFT JOIN sources AS its_source
                ON its_source.id = later.source_id AND its_source.version = later.source_version
            WHERE later.corpus_id = records.corpus_id AND later.key = records.key
            AND (later.position, later."offset", later.id) > (records.position, records."offset", records.id)
            AND (later.source_id = 0 OR its_source.id IS NOT NULL)
        )
    """,
    # The labels that were decided, the likeliest first, beside a row `label_scores`.
    "decided": """
        SELECT labels.name AS label, document_labels.score
        FROM document_labels JOIN labels ON labels.id = document_labels.label_id
        WHERE document_labels.sha256 = label_scores.sha256
        AND document_labels.fingerprint = label_scores.fingerprint
        ORDER BY document_labels.score DESC, labels.position
    """,
}

_CORPUS = "name of the corpus"
_KEY = "of the document"
_FINGERPRINT = "of all that decided the result besides the text"
_SHA256 = "of the text in UTF-8, in hex; equal texts share their results"
_MODEL = "digest of the model, in hex"

VIEWS = (
    View(
        "v_corpora",
        "a corpus",
        {
            "corpus": "its name",
            "sources": "number of files and URLs",
            "bytes": "size of the sources",
            "jobs": "number of jobs",
            "created_at": "when it was named for the first time",
        },
        """
        SELECT corpora.name AS corpus,
            (SELECT COUNT(*) FROM sources WHERE sources.corpus_id = corpora.id) AS sources,
            (SELECT CAST(COALESCE(SUM(sources.size), 0) AS BIGINT) FROM sources
                WHERE sources.corpus_id = corpora.id) AS bytes,
            (SELECT COUNT(*) FROM jobs WHERE jobs.corpus_id = corpora.id) AS jobs,
            INSTANT(corpora.created_at) AS created_at
        FROM corpora
        """,
    ),
    View(
        "v_documents",
        "a document that has a row: enqueued, or handled by an operation whose results belong to documents",
        {
            "corpus": _CORPUS,
            "key": "unique in the corpus",
            "source": "file or URL it stands in; null when a producer gave the text",
            "byte_offset": "where it begins in the source",
            "length": "bytes",
            "sha256": _SHA256,
            "metadata": "JSON object that a producer gave along, or what the layout of the files says: title, label",
            "created_at": "when the row was written",
        },
        """
        SELECT corpus, key, uri AS source, "offset" AS byte_offset, length, HEX(sha256) AS sha256,
            JSON(metadata) AS metadata, INSTANT(created_at) AS created_at
        FROM ($current) AS documents_now
        """,
    ),
    View(
        "v_top_words",
        "a distinct word, punctuation and white space included, of the counts that readers see",
        {
            "corpus": _CORPUS,
            "word": "as the segmenter cut it",
            "count": "how often it stands in the corpus",
            "documents": "in how many documents it stands",
            "fingerprint": _FINGERPRINT,
        },
        """
        SELECT corpora.name AS corpus, word_counts.word, word_counts.count, word_counts.documents,
            generations.fingerprint
        FROM corpora
        JOIN generations ON generations.id = GENERATION(count)
        JOIN word_counts ON word_counts.generation_id = generations.id
        """,
    ),
    View(
        "v_corpus_months",
        "a month in which a corpus has documents, if its documents have dates (`--date-field`)",
        {
            "corpus": _CORPUS,
            "month": "such as 2024-07; null for documents without a date",
            "documents": "of the month",
            "tokens": "in them",
            "characters": "in them",
        },
        """
        SELECT corpora.name AS corpus, MONTH(corpus_months.month) AS month, corpus_months.documents,
            corpus_months.tokens, corpus_months.characters
        FROM corpora JOIN corpus_months ON corpus_months.generation_id = GENERATION(count)
        """,
    ),
    View(
        "v_words_by_month",
        "a word in a month, if the documents have dates",
        {
            "corpus": _CORPUS,
            "word": "as the segmenter cut it",
            "month": "such as 2024-07; null for documents without a date",
            "count": "how often the word stands in the month",
            "documents": "in how many documents of the month",
        },
        """
        SELECT corpora.name AS corpus, word_counts.word, MONTH(word_counts_by_month.month) AS month,
            word_counts_by_month.count, word_counts_by_month.documents
        FROM corpora
        JOIN word_counts ON word_counts.generation_id = GENERATION(count)
        JOIN word_counts_by_month
            ON word_counts_by_month.generation_id = word_counts.generation_id
            AND word_counts_by_month.partition = word_counts.partition
            AND word_counts_by_month.position = word_counts.position
        """,
    ),
    View(
        "v_document_lengths",
        "some lengths, and how many documents have them: single ones below 100 characters, of two digits above",
        {
            "corpus": _CORPUS,
            "month": "such as 2024-07; null for documents without a date",
            "from_chars": "the shortest length, in characters",
            "to_chars": "the longest, included",
            "documents": "how many",
        },
        """
        SELECT corpora.name AS corpus, MONTH(document_lengths.month) AS month, document_lengths.from_chars,
            document_lengths.to_chars, document_lengths.documents
        FROM corpora JOIN document_lengths ON document_lengths.generation_id = GENERATION(count)
        """,
    ),
    View(
        "v_new_words",
        "a word that `discover` proposes",
        {
            "corpus": _CORPUS,
            "place": "from 1, the highest score first",
            "word": "not in the dictionary",
            "count": "how often it stands in the corpus",
            "pmi": "how firmly it holds together: pointwise mutual information, natural logarithm",
            "left_entropy": "how freely it stands: entropy of the characters before it",
            "right_entropy": "and of those after it",
            "score": "by which they are ordered",
            "fingerprint": _FINGERPRINT,
        },
        """
        SELECT corpora.name AS corpus, new_words.position + 1 AS place, new_words.word, new_words.count, new_words.pmi,
            new_words.left_entropy, new_words.right_entropy, new_words.score, generations.fingerprint
        FROM corpora
        JOIN generations ON generations.id = GENERATION(discover)
        JOIN new_words ON new_words.generation_id = generations.id
        """,
    ),
    View(
        "v_duplicates",
        "a document of a group whose documents say the same, or nearly",
        {
            "corpus": _CORPUS,
            "group_number": "of the group in the corpus, from 1",
            "kind": "exact or near",
            "documents": "in the group",
            "number": "of the document in the group; 1 stands for the group",
            "text_number": "in the group; documents with one number have equal texts",
            "similarity": "to the first of the group, from 0 to 1",
            "key": "of the document",
            "source": "file or URL it stands in; null when a producer gave the text",
            "byte_offset": "where it begins in the source",
            "fingerprint": _FINGERPRINT,
        },
        """
        SELECT corpora.name AS corpus, duplicate_members.group_number, duplicate_groups.kind,
            duplicate_groups.documents, duplicate_members.number, duplicate_members.text_number,
            duplicate_members.similarity, duplicate_members.key, sources.uri AS source,
            CASE WHEN duplicate_members.source_id = 0 THEN NULL ELSE duplicate_members."offset" END AS byte_offset,
            generations.fingerprint
        FROM corpora
        JOIN generations ON generations.id = GENERATION(dedup)
        JOIN duplicate_members ON duplicate_members.generation_id = generations.id
        JOIN duplicate_groups
            ON duplicate_groups.generation_id = duplicate_members.generation_id
            AND duplicate_groups.number = duplicate_members.group_number
        LEFT JOIN sources ON sources.id = duplicate_members.source_id
        """,
    ),
    View(
        "v_tokens",
        "a document with its tokens",
        {
            "corpus": _CORPUS,
            "key": _KEY,
            "count": "number of tokens",
            "tokens": "JSON list, in the order of the text",
            "fingerprint": _FINGERPRINT,
            "sha256": _SHA256,
        },
        """
        SELECT documents_now.corpus, documents_now.key, tokens.count, JSON(tokens.tokens) AS tokens,
            tokens.fingerprint, HEX(tokens.sha256) AS sha256
        FROM ($current) AS documents_now
        JOIN ($newest) AS newest ON newest.corpus_id = documents_now.corpus_id AND newest.operation = 'tokenize'
        JOIN tokens ON tokens.sha256 = documents_now.sha256 AND tokens.fingerprint = newest.fingerprint
        """,
    ),
    View(
        "v_summaries",
        "a document with its summary",
        {
            "corpus": _CORPUS,
            "key": _KEY,
            "summary": "the text of the summary",
            "spans": "JSON list of [from, to], characters of the text from 0; empty when the model wrote its own words",
            "model": _MODEL,
            "fingerprint": _FINGERPRINT,
            "sha256": _SHA256,
        },
        """
        SELECT documents_now.corpus, documents_now.key, summaries.summary, JSON(summaries.spans) AS spans,
            summaries.model, summaries.fingerprint, HEX(summaries.sha256) AS sha256
        FROM ($current) AS documents_now
        JOIN ($newest) AS newest ON newest.corpus_id = documents_now.corpus_id AND newest.operation = 'summarize'
        JOIN summaries ON summaries.sha256 = documents_now.sha256 AND summaries.fingerprint = newest.fingerprint
        """,
    ),
    View(
        "v_labels",
        "a label that was decided for a document",
        {
            "corpus": _CORPUS,
            "key": _KEY,
            "label": "its name",
            "score": "its probability",
            "model": _MODEL,
            "fingerprint": _FINGERPRINT,
            "sha256": _SHA256,
        },
        """
        SELECT documents_now.corpus, documents_now.key, labels.name AS label, document_labels.score,
            label_scores.model, label_scores.fingerprint, HEX(label_scores.sha256) AS sha256
        FROM ($current) AS documents_now
        JOIN ($newest) AS newest ON newest.corpus_id = documents_now.corpus_id AND newest.operation = 'classify'
        JOIN label_scores
            ON label_scores.sha256 = documents_now.sha256 AND label_scores.fingerprint = newest.fingerprint
        JOIN document_labels
            ON document_labels.sha256 = label_scores.sha256
            AND document_labels.fingerprint = label_scores.fingerprint
        JOIN labels ON labels.id = document_labels.label_id
        """,
    ),
    View(
        "v_keywords",
        "a keyword of a document",
        {
            "corpus": _CORPUS,
            "key": _KEY,
            "place": "from 1, the weightiest first",
            "word": "the keyword",
            "weight": "by TF-IDF or TextRank, whichever the job was asked for",
            "fingerprint": _FINGERPRINT,
            "sha256": _SHA256,
        },
        """
        SELECT documents_now.corpus, documents_now.key, PLACE() AS place, FIELD(word) AS word, NUMBER(weight) AS weight,
            keywords.fingerprint, HEX(keywords.sha256) AS sha256
        FROM ($current) AS documents_now
        JOIN ($newest) AS newest ON newest.corpus_id = documents_now.corpus_id AND newest.operation = 'keywords'
        JOIN keywords ON keywords.sha256 = documents_now.sha256 AND keywords.fingerprint = newest.fingerprint
        JOIN EACH(keywords.keywords)
        """,
    ),
    View(
        "v_document_results",
        "what one operation made of one document",
        {
            "corpus": _CORPUS,
            "key": _KEY,
            "operation": "tokenize, summarize, classify or keywords",
            "fingerprint": _FINGERPRINT,
            "result": "JSON object: what `hanmill export` writes of the document, without its key",
            "sha256": _SHA256,
        },
        """
        SELECT corpus, key, 'tokenize' AS operation, fingerprint, OBJECT('tokens', JSON(tokens)) AS result, sha256
        FROM v_tokens
        UNION ALL
        SELECT corpus, key, 'summarize', fingerprint,
            OBJECT('summary', summary, 'model', model, 'spans', JSON(spans)), sha256
        FROM v_summaries
        UNION ALL
        SELECT documents_now.corpus, documents_now.key, newest.operation, newest.fingerprint,
            OBJECT('keywords', JSON(keywords.keywords)), HEX(keywords.sha256)
        FROM ($current) AS documents_now
        JOIN ($newest) AS newest ON newest.corpus_id = documents_now.corpus_id AND newest.operation = 'keywords'
        JOIN keywords ON keywords.sha256 = documents_now.sha256 AND keywords.fingerprint = newest.fingerprint
        UNION ALL
        SELECT documents_now.corpus, documents_now.key, 'classify', newest.fingerprint,
            OBJECT('labels', COALESCE(
                (SELECT LIST(OBJECT('label', decided.label, 'score', decided.score)) FROM ($decided) AS decided),
                JSON('[]')
            )),
            HEX(label_scores.sha256)
        FROM ($current) AS documents_now
        JOIN ($newest) AS newest ON newest.corpus_id = documents_now.corpus_id AND newest.operation = 'classify'
        JOIN label_scores
            ON label_scores.sha256 = documents_now.sha256 AND label_scores.fingerprint = newest.fingerprint
        """,
    ),
    View(
        "v_jobs",
        "a job with its figures, as `hanmill jobs` and `hanmill status` show them",
        {
            "id": "its number",
            "corpus": _CORPUS,
            "operation": "count, tokenize, …",
            "state": "PLANNING, RUNNING, MERGING, PAUSED, DONE, DONE_WITH_DEAD, CANCELLED, FAILED or STOPPED",
            "reason": "why it failed or was stopped",
            "fingerprint": "of operation, options, dictionary, engine and model",
            "priority": "higher first",
            "created_at": "when it was ordered",
            "finished_at": "when it ended; null before",
            "elapsed_s": "seconds from the one to the other, or until now",
            "documents": "documents in: results + identical + replaced + dead when it has ended",
            "results": "documents that gave a result",
            "identical": "records that repeat a document",
            "replaced": "records that a later one of the same key replaces",
            "dead": "dead letters",
            "shards": "shards that it consists of",
            "shards_done": "of them ended",
            "shards_running": "of them leased just now",
            "bytes": "to be read",
            "bytes_done": "of them read",
            "tokens": "that were cut",
            "reused": "shards whose result an earlier job had",
            "failures": "attempts that failed",
            "losses": "attempts whose worker was lost",
        },
        """
        SELECT jobs.id, corpora.name AS corpus, jobs.operation, jobs.state, jobs.reason, jobs.fingerprint,
            jobs.priority, INSTANT(jobs.created_at) AS created_at, INSTANT(jobs.finished_at) AS finished_at,
            COALESCE(jobs.finished_at, CLOCK()) - jobs.created_at AS elapsed_s,
            COALESCE(sums.documents_in, 0) AS documents,
            COALESCE(sums.results, 0) - jobs.identical - jobs.replaced AS results,
            jobs.identical, jobs.replaced, COALESCE(sums.dead, 0) AS dead,
            COALESCE(sums.shards, 0) AS shards, COALESCE(sums.shards_done, 0) AS shards_done,
            COALESCE(sums.leased, 0) AS shards_running,
            COALESCE(sums.bytes, 0) AS bytes, COALESCE(sums.bytes_done, 0) AS bytes_done,
            COALESCE(sums.tokens, 0) AS tokens, COALESCE(sums.reused, 0) AS reused,
            COALESCE(sums.failures, 0) AS failures, COALESCE(sums.losses, 0) AS losses
        FROM jobs
        JOIN corpora ON corpora.id = jobs.corpus_id
        LEFT JOIN (
            SELECT job_id,
                CAST(SUM(pending + queued + leased + done + buried) AS BIGINT) AS shards,
                CAST(SUM(done + buried) AS BIGINT) AS shards_done,
                CAST(SUM(leased) AS BIGINT) AS leased,
                CAST(SUM(documents_in) AS BIGINT) AS documents_in, CAST(SUM(results) AS BIGINT) AS results,
                CAST(SUM(dead) AS BIGINT) AS dead,
                CAST(SUM(bytes) AS BIGINT) AS bytes, CAST(SUM(bytes_done) AS BIGINT) AS bytes_done,
                CAST(SUM(tokens) AS BIGINT) AS tokens, CAST(SUM(reused) AS BIGINT) AS reused,
                CAST(SUM(failures) AS BIGINT) AS failures, CAST(SUM(losses) AS BIGINT) AS losses
            FROM job_progress WHERE kind = 'map' GROUP BY job_id
        ) AS sums ON sums.job_id = jobs.id
        """,
    ),
    View(
        "v_dead_letters",
        "a dead letter that stands: neither replayed nor discarded",
        {
            "job": "number of its job",
            "corpus": _CORPUS,
            "operation": "of the job",
            "source": "file or URL; empty when a producer gave the text",
            "line": "from 1, where the source has lines",
            "byte_offset": "where it begins in the source",
            "length": "bytes",
            "key": "where the record had one",
            "reason": "one of the reasons in the README",
            "detail": "a sentence for people",
            "attempts": "how often it was tried",
            "created_at": "when it was set aside",
        },
        """
        SELECT dead_letters.job_id AS job, corpora.name AS corpus, jobs.operation, dead_letters.source,
            dead_letters.line, dead_letters."offset" AS byte_offset, dead_letters.length, dead_letters.key,
            dead_letters.reason, dead_letters.detail, dead_letters.attempts,
            INSTANT(dead_letters.created_at) AS created_at
        FROM dead_letters
        JOIN jobs ON jobs.id = dead_letters.job_id
        JOIN corpora ON corpora.id = jobs.corpus_id
        WHERE dead_letters.state = 'standing'
        """,
    ),
)

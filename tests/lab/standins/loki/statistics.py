# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a query says about its own work: how much it has read; times are not measured."""

from __future__ import annotations

from typing import Any

from .store import Version

# What a line carries beside its text, in newer versions.
METADATA_BYTES = 8
CACHES = ("chunk", "index", "result", "statsResult")
NEWER_CACHES = ("volumeResult", "seriesResult", "labelResult", "instantMetricResult")
CACHE = ("entriesFound", "entriesRequested", "entriesStored", "bytesReceived", "bytesSent", "requests", "downloadTime")


def statistics(version: Version, lines: list[str], passed: int, returned: int) -> dict[str, Any]:
    """The statistics of a query that has read these lines."""
    metadata = METADATA_BYTES * len(lines) if version.newer else 0
    size = metadata + sum(len(line.encode()) for line in lines)
    caches = [*CACHES, *NEWER_CACHES] if version.newer else CACHES
    cache = dict.fromkeys([*CACHE, "queryLengthServed"] if version.newer else CACHE, 0)
    index = {"totalChunks": 0, "postFilterChunks": 0, "shardsDuration": 0, "usedBloomFilters": False}
    return {
        "summary": {
            "bytesProcessedPerSecond": 0,
            "linesProcessedPerSecond": 0,
            "totalBytesProcessed": size,
            "totalLinesProcessed": len(lines),
            "execTime": 0,
            "queueTime": 0,
            "subqueries": 0,
            "totalEntriesReturned": returned,
            "splits": 1,
            "shards": 1,
            "totalPostFilterLines": passed,
            "totalStructuredMetadataBytesProcessed": metadata,
        },
        "querier": {"store": chunks(version, 0, 0, 0, 0)},
        "ingester": {
            "totalReached": 1,
            "totalChunksMatched": 1,
            "totalBatches": 1,
            "totalLinesSent": returned,
            "store": chunks(version, size, len(lines), passed, metadata),
        },
        "cache": dict.fromkeys(caches, cache),
        **({"index": index} if version.newer else {}),
    }


def chunks(version: Version, size: int, lines: int, passed: int, metadata: int) -> dict[str, Any]:
    """What was read of chunks, all of it taken for lines that the ingester still has in memory."""
    newer = {
        "queryReferencedStructuredMetadata": False,
        "chunkRefsFetchTime": 0,
        "congestionControlLatency": 0,
        "pipelineWrapperFilteredLines": 0,
    }
    return {
        "totalChunksRef": 0,
        "totalChunksDownloaded": 0,
        "chunksDownloadTime": 0,
        "chunk": {
            "headChunkBytes": size,
            "headChunkLines": lines,
            "decompressedBytes": 0,
            "decompressedLines": 0,
            "compressedBytes": 0,
            "totalDuplicates": 0,
            "postFilterLines": passed,
            "headChunkStructuredMetadataBytes": metadata,
            "decompressedStructuredMetadataBytes": 0,
        },
        **(newer if version.newer else {}),
    }

# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The words of the report, in Japanese and in English."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from ansible_collections.flatnet.ops.plugins.plugin_utils.acceptance_checks import CHECKS
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.model import Report, Step
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.questions import is_staged, is_swapped
from ansible_collections.flatnet.ops.plugins.plugin_utils.text import Text


class Number(NamedTuple):
    """A number as people read it; ``exact`` is empty where nothing was rounded."""

    label: Text
    value: Text
    exact: str


OPERATIONS = {
    "setup": Text("サイトの準備", "Setup"),
    "start": Text("起動", "Start"),
    "stop": Text("停止", "Stop"),
    "reload": Text("Gateway の設定の再読み込み", "Reload of the gateway"),
    "gateway_config": Text("Gateway の設定の反映", "Rollout of the gateway's configuration"),
    "status": Text("状態の確認", "Status"),
    "logs": Text("ログの確認", "Logs"),
    "windows_acceptance": Text("本物の Windows での確認", "Acceptance on a real Windows host"),
    "backup": Text("バックアップ", "Backup"),
    "backups": Text("バックアップの一覧", "List of backups"),
    "verify": Text("バックアップの検証", "Verification of a backup"),
    "restore": Text("復元", "Restore"),
    "drill": Text("復元訓練", "Restore drill"),
}

VERDICTS = {
    "good": Text("成功", "Success"),
    "warning": Text("成功(注意あり)", "Success, with a warning"),
    "failed": Text("失敗", "Failed"),
}

STATUSES = {
    "good": Text("成功", "good"),
    "warning": Text("注意", "warning"),
    "failed": Text("失敗", "failed"),
}

ANSWERS = {
    "yes": Text("はい", "Yes"),
    "no": Text("いいえ", "No"),
    "unknown": Text("不明", "Unknown"),
    "absent": Text("対象外", "Not asked"),
}

QUESTIONS = {
    "restorable": Text("復元できたか", "Could it be restored?"),
    "duration": Text("復元にかかった時間", "How long did it take?"),
    "whole": Text("データは欠けていないか", "Is the data whole?"),
    "gateway": Text("Gateway にアクセスできるか", "Does the gateway answer?"),
    "dashboards": Text("ダッシュボードが表示されるか", "Are the dashboards shown?"),
    "logs": Text("ログが検索できるか", "Can logs be searched?"),
}

PROOFS = {
    "restorable": Text(
        "セット全体を検証し、すべてのデータを復元し、その上でコンテナが動いたことを確かめました。",
        "The whole set was verified, every source was restored, and the containers ran on it.",
    ),
    "duration": Text(
        "最初のコピーの開始から、アプリケーションが最後の質問に答えるまで。",
        "From the begin of the first copy to the application's last answer.",
    ),
    "whole": Text(
        "すべてのファイルをバックアップ時の記録と照合し、バックアップ時と同じ質問をアプリケーションにもう一度行いました。",
        "Every file was compared with what was noted when it was saved, and the applications were asked the same questions again.",
    ),
    "gateway": Text(
        "復元した設定で nginx を動かし、各サーバーの各 location に実際にアクセスしました。500 未満の応答を合格とします。",
        "nginx was run with the restored configuration, and each location of each server was asked. Good is an answer below 500.",
    ),
    "dashboards": Text(
        "復元したダッシュボードの各パネルの問い合わせに答えが返ることを確かめました。",
        "The queries of the restored dashboards' panels were answered.",
    ),
    "logs": Text(
        "復元した Loki にバックアップ時と同じ質問をもう一度行い、答えを比べました。",
        "The restored Loki was asked the questions of the backup again, and the answers were compared.",
    ),
}

NOT_PROVED = Text(
    "証明されませんでした。下の手順で、失敗または欠けているものを確認してください。",
    "This was not proved: see below which step failed or is missing.",
)

NOT_ASKED = Text(
    "このセットに対象のデータがないか、この訓練では確かめていません。",
    "The set holds nothing to ask about, or this drill does not ask it.",
)

WARNINGS = {
    "NO OFF-HOST COPY": Text(
        "バックアップは別のマシンにコピーされていません。このディスクを失うと、バックアップもすべて失われます。",
        "The backups are not copied to another machine: who loses this disk loses every backup with it.",
    ),
    "check mode: nothing was changed": Text(
        "チェックモードで実行したため、何も変更していません。この報告は何も証明しません。",
        "This was a run in check mode: nothing was changed, and this report proves nothing.",
    ),
}

NUMBERS = {
    "asked": Text("質問の数", "questions asked"),
    "bytes": Text("容量", "size"),
    "checks_failed": Text("失敗した項目", "checks failed"),
    "checks_not_tried": Text("試していない項目", "checks not tried"),
    "checks_verified": Text("確かめた項目", "checks verified"),
    "containers": Text("コンテナ", "containers"),
    "damaged": Text("破損ファイル", "damaged files"),
    "different": Text("異なる答え", "different answers"),
    "files": Text("ファイル", "files"),
    "gap_seconds": Text("応答が途切れた時間", "without an answer"),
    "error_entries": Text("エラーログの記録", "entries of the error log"),
    "access_entries": Text("アクセスログの記録", "entries of the access log"),
    "kept": Text("残したセット", "sets kept"),
    "linked_bytes": Text("以前のセットと共有", "shared with earlier sets"),
    "masters": Text("マスタープロセス", "masters"),
    "pause_seconds": Text("アプリの停止時間", "application paused"),
    "probes": Text("記録した質問", "answers kept to compare"),
    "ready_seconds": Text("準備完了まで", "ready after"),
    "lines": Text("検索で見つかった行", "lines found by a search"),
    "removed": Text("削除したセット", "sets removed"),
    "restore_seconds": Text("復元と確認の時間", "restored and asked within"),
    "routes_elsewhere": Text("行き先がこのセットにない経路", "routes that lead out of the set"),
    "routes_failed": Text("応答しなかった経路", "routes without an answer"),
    "routes_good": Text("応答した経路", "routes that answer"),
    "routes_not_asked": Text("アクセスしていない経路", "routes not asked"),
    "routes_windows": Text("Windows が必要な経路", "routes that need Windows"),
    "same": Text("同じ答え", "same answers"),
    "seconds": Text("所要時間", "duration"),
    "samples": Text("サンプル", "samples"),
    "sources": Text("データの種類", "sources"),
    "verified": Text("照合済みファイル", "files compared"),
    "workers": Text("ワーカープロセス", "workers"),
}

STEPS = {
    ("backup_set", "set opened"): Text("新しいセットを開く", "Open a new set"),
    ("backup_set", "set committed"): Text("セットを完成させる", "Complete the set"),
    ("backup_set", "set pruned"): Text("保存期間を過ぎたセットを整理する", "Remove the sets whose days are over"),
    ("backup_set", "set aborted"): Text("未完成のものを残さない", "Leave nothing incomplete behind"),
    ("backup_set", "set damaged"): Text("破損したファイルを記録する", "Remember the damaged files"),
    ("backup_set_info", "verify"): Text("セット全体を検証する", "Verify the whole set"),
    ("backup_set_info", "list"): Text("セットを一覧する", "List the sets"),
    ("site_drill", "site"): Text(
        "稼働中のサイトの隣に復元し、確認して、片付ける", "Restore beside the running site, ask, and remove the copy"
    ),
    ("gateway", "gateway started"): Text("Gateway を起動する", "Start the gateway"),
    ("gateway", "gateway stopped"): Text("Gateway を停止する", "Stop the gateway"),
    ("gateway", "gateway reloaded"): Text("Gateway の設定を再読み込みする", "Reload the gateway"),
    ("gateway", "gateway restarted"): Text("Gateway を再起動する", "Restart the gateway"),
    ("gateway_config", "configuration"): Text("Gateway の設定を反映する", "Roll out the gateway's configuration"),
    ("gateway_acceptance", "acceptance"): Text(
        "本物の Windows でしか分からないことを確かめる", "Try what only a real Windows host can show"
    ),
    ("gateway_info", "look"): Text("Gateway の状態を調べる", "Look at the gateway"),
    ("gateway_logs_info", "logs"): Text("Gateway のログを読む", "Read the gateway's logs"),
    ("loki_query_info", "logs"): Text("Loki でログを検索する", "Search the logs that Loki keeps"),
    ("gateway_tasks", "tasks"): Text("Gateway を動かすタスクを登録する", "Install the tasks that keep the gateway"),
    ("podman_stack", "stack started"): Text("監視スタックを起動する", "Start the monitoring stack"),
    ("podman_stack", "stack stopped"): Text("監視スタックを停止する", "Stop the monitoring stack"),
    ("podman_stack", "stack restarted"): Text("監視スタックを再起動する", "Restart the monitoring stack"),
    ("podman_stack", "stack ready"): Text("監視スタックの準備完了を待つ", "Wait until the monitoring stack is ready"),
}

SOURCE_STEPS = {
    "prometheus_snapshot": Text("{}を保存する", "Save {}"),
    "tree_backup": Text("{}を保存する", "Save {}"),
    "backup_probe_info": Text("{}にバックアップ時と同じ質問をする", "Ask {} the questions of the backup again"),
}

RESTORE_STEPS = {
    "staged": Text("{}を復元先の隣にコピーし、照合する", "Copy {} beside its target, and compare"),
    "swapped": Text("{}を復元したデータに切り替える", "Swap {} in"),
    "running": Text("{}を使うコンテナが動いていることを確かめる", "Make sure that the containers of {} run"),
    "confirmed": Text("{}の復元を確定する", "Confirm {}"),
    "undone": Text("{}を復元前の状態に戻す", "Put {} back as it was"),
    "failed": Text("{}を復元する", "Restore {}"),
}

WORDS = {
    "changed": Text("変更あり", "changed"),
    "answer": Text("今回の答え", "Answer"),
    "at": Text("時点", "At"),
    "evidence": Text("証拠を見る", "Evidence"),
    "from": Text("開始", "from"),
    "to": Text("終了", "to"),
    "expected": Text("保存時の答え", "Answer when saved"),
    "failure": Text("失敗の内容", "What went wrong"),
    "legend": Text("この報告の読み方", "How to read this report"),
    "missing": Text("報告のないホスト", "Hosts that have not reported"),
    "missing_why": Text(
        "実行が途中で止まったか、ホストに接続できなくなったか、まだ実行中です。記録はホストに残るので、後から報告を作り直せます。",
        "The run was stopped, the host was lost, or it is still at work. The record stays on the host: the report can be made again.",
    ),
    "message": Text("理由(英語):", "Why:"),
    "no_steps": Text("記録された手順はありません。", "No step was recorded."),
    "question": Text("質問", "Question"),
    "run": Text("実行 ID", "Run"),
    "check": Text("確認する項目", "Check"),
    "found": Text("分かったこと(英語)", "Found"),
    "seconds": Text("所要時間", "Duration"),
    "site": Text("サイト", "Site"),
    "started": Text("開始", "Started"),
    "set": Text("セット", "Set"),
    "host": Text("ホスト", "Host"),
    "name": Text("氏名", "Name"),
    "date": Text("日付", "Date"),
    "signature": Text("署名", "Signature"),
    "checked_by": Text("実施者", "Carried out by"),
    "approved_by": Text("確認者", "Approved by"),
    "route": Text("経路", "Route"),
    "where": Text("設定の場所", "Where it is configured"),
    "outcome": Text("結果", "Outcome"),
    "steps": Text("手順", "Steps"),
}

CHECKED = {
    "verified": Text("確かめた", "verified"),
    "failed": Text("失敗", "failed"),
    "not_tried": Text("試していない", "not tried"),
}

OUTCOMES = {
    "good": Text("応答あり", "answers"),
    "failed": Text("応答なし", "does not answer"),
    "windows": Text("Windows が必要", "needs Windows"),
    "elsewhere": Text("行き先がこのセットにない", "leads out of the set"),
    "not_asked": Text("アクセスしていない", "not asked"),
}

SIGN = Text("復元訓練の記録", "Record of the restore drill")
SIGN_WHY = Text(
    "上の結果を確かめ、署名して保管してください。",
    "Check the results above, sign, and keep this page.",
)

LEGEND = (
    Text(
        "判定は悪いものが優先されます。一つでも失敗した手順、または報告のないホストがあれば、全体が失敗です。",
        "The worst counts: one failed step, or one host that has not reported, and the whole run has failed.",
    ),
    Text(
        "手順は行われた順に並び、それぞれに測定した数値と証拠があります。メッセージは英語のまま表示します。",
        "Steps are in the order in which they were done, each with what was measured and its evidence.",
    ),
    Text(
        "セットとは、ある時点のサイト全体のバックアップ一つのことで、名前は開始時刻 (UTC) です。",
        "A set is one complete backup of a site; its name is the time at which it was begun, in UTC.",
    ),
    Text(
        "時刻はすべて UTC です。日本時間は 9 時間進んでいます。",
        "All times are UTC.",
    ),
)


def operation(name: str) -> Text:
    """An operation."""
    return OPERATIONS.get(name, Text(name, name))


def summary(report: Report) -> Text:
    """One sentence for a run that did not fail."""
    hosts = ", ".join(host.host for host in report.hosts)
    name = operation(report.operation)
    if report.check_mode:
        return Text(f"{hosts} で{name.ja}を確認しました。", f"{name.en} was checked on {hosts}.")
    return Text(
        f"{hosts} で{name.ja}の手順をすべて終え、失敗したものはありません。",
        f"Every step of this run on {hosts} was carried out, and none failed.",
    )


def step_count(report: Report) -> Text:
    """How many steps, and how many of them changed something."""
    count, changed = len(report.steps), sum(step.changed for step in report.steps)
    return Text(f"{count}(うち変更あり {changed})", f"{count}, {changed} of them changed something")


def step_title(step: Step) -> Text:
    """A step as a person would name it; a step that is not known keeps its own name."""
    if step.module == "tree_restore":
        return about(RESTORE_STEPS[restore_phase(step)], step.step)
    if step.module in SOURCE_STEPS:
        return about(SOURCE_STEPS[step.module], step.step)
    plain = f"{step.module}: {step.step}"
    return STEPS.get((step.module, step.step), Text(plain, plain))


def expected(check: str) -> Text:
    """What a check of the acceptance expects; one that is not known keeps its own name."""
    known = next((one.expected for one in CHECKS if one.id == check), Text(check, check))
    return Text(*(words.replace("`", "") for words in known))


def restore_phase(step: Step) -> str:
    """How far a restore has come with this step."""
    if step.status == "failed":
        return "failed"
    if is_staged(step):
        return "staged"
    if is_swapped(step):
        return "swapped"
    if "running" in step.evidence:
        return "running"
    return "undone" if step.status == "warning" else "confirmed"


def about(pattern: Text, source: str) -> Text:
    """A pattern with the source's name."""
    kind, _slash, name = source.partition("/")
    if kind == "volumes" and name:
        return Text(pattern.ja.format(f"ボリューム {name} "), pattern.en.format(f"volume {name}"))
    known = {"prometheus": "Prometheus"}.get(source, source)
    return Text(pattern.ja.format(f"{known} "), pattern.en.format(known))


def number(name: str, value: float) -> Number:
    """A number with its label and its unit."""
    label = NUMBERS.get(name, Text(name.replace("_", " "), name.replace("_", " ")))
    if name.endswith("bytes"):
        human = human_bytes(value)
        return Number(label, Text(human, human), f"{value:,.0f} B" if value >= 1024 else "")
    if name.endswith("seconds"):
        return Number(label, duration(value), "")
    plain = f"{value:,.0f}" if value == int(value) else f"{value:,}"
    return Number(label, Text(plain, plain), "")


def human_bytes(value: float) -> str:
    """Bytes in the unit that gives a short number."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:,.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def duration(seconds: float) -> Text:
    """Seconds; from two minutes on in minutes as well."""
    exact = f"{seconds:,.2f}" if seconds < 10 else f"{seconds:,.1f}"
    if seconds < 120:
        return Text(f"{exact} 秒", f"{exact} s")
    minutes, rest = divmod(round(seconds), 60)
    return Text(f"{minutes} 分 {rest} 秒 ({exact} 秒)", f"{minutes} min {rest} s ({exact} s)")


def utc(time: datetime) -> str:
    """A point in time for people."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"

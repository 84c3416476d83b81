"""Reasons about match fields, operators' rules and the evidence."""

from __future__ import annotations

from mdevreg.reasons.explanation import ALLOW_THE_PAIR, Explanation, explain

_SEE = "`mdevreg rule show ID` tells who made it, why, where it applies and until when."
_END = "If it no longer holds, end it: `mdevreg rule end ID`."
_OTHER = "Choose another target: `mdevreg targets DEVICE`."

FIELDS: tuple[Explanation, ...] = (
    explain(
        "MATCH_FIELDS_AGREE",
        "Everything that the target's driver compares beside the version fits.",
        ("Such as mtty's nr_ports, hisi's qp_num, qat's capabilities, xe's device id and revision.",),
        ("Nothing to do.",),
    ),
    explain(
        "MATCH_FIELD_DIFFERS",
        "A value that must be equal on both sides is not. The target would refuse the stream.",
        (
            "mtty: nr_ports. hisi_acc: device id, qp_num, que_iso_cfg. qat: svcmap. xe: device id, revision.",
            "nvidia: board, ECC or the host's operating system differ.",
        ),
        (
            "If it can be configured (qat services, ECC), make it equal on the target; the agent tells the registry.",
            _OTHER,
        ),
    ),
    explain(
        "MATCH_FIELD_LACKS",
        "The target has less than the stream needs. The other direction may work.",
        ("qat: the target's capabilities (gencap, extdc) are no superset of the source's.",),
        ("Choose a target with at least the source's capabilities: `mdevreg targets DEVICE`.",),
    ),
    explain(
        "MATCH_FIELD_DOUBTFUL",
        "A value differs, and it is disputed or not documented whether the stream loads all the same.",
        ("nvidia: the vGPU manager's branch or the host's operating system differ; the vendor's documents disagree.",),
        (
            "Choose a target where it is equal.",
            ALLOW_THE_PAIR,
        ),
    ),
    explain(
        "MATCH_FIELD_UNKNOWN",
        "The target's driver compares a value that is not known of one side. Missing is not equal.",
        (
            "The agent could not read it: an attribute that is absent, no NVML library, a fault at the parent.",
            "No catalog entry and no plug-in states it.",
        ),
        (
            "`mdevreg show HOST -o json` tells what was seen and what failed.",
            "State the value in an operator's catalog file (fields, values), or let a plug-in of the agent answer it.",
            "nvidia: install the agent's extra [nvidia] on both hosts.",
        ),
    ),
    explain(
        "MATCH_FIELD_ADVISORY",
        "A value differs that nobody compares on load. It is told because it may explain a difference later.",
        ("qat: another PF/VF protocol version; the driver warns and goes on.",),
        ("Nothing to do.",),
    ),
)

TRIED: tuple[Explanation, ...] = (
    explain(
        "OUTCOME_REFUSED",
        "The target's driver refused the last real migration between the same two profiles: a yes is not trusted.",
        (
            "What is believed of one of the two driver builds is wrong: a catalog entry, its own word, a match field.",
            "The driver compares something that nobody states.",
        ),
        (
            "Read the report, and others of the two: `mdevreg outcome list`; the log of the target's kernel says more.",
            "Correct what is believed in an operator's catalog file, or deny the pair: `mdevreg rule add deny`.",
            "If it was the guest or the host and not the build: try again, and report what loads. " + ALLOW_THE_PAIR,
            "Upgrade one of the two drivers: the report is about these two builds and ends with them.",
        ),
    ),
    explain(
        "OUTCOME_LOADED",
        "The last real migration between the same two profiles worked, although the verdict is no yes. It decides "
        "nothing: another guest's stream may hold what that one did not.",
        ("What is believed of one of the two driver builds is too strict, or not known.",),
        (
            "Correct what is believed in an operator's catalog file, so that the verdict says why.",
            ALLOW_THE_PAIR,
        ),
    ),
)

OPERATORS: tuple[Explanation, ...] = (
    explain(
        "RULE_DENIES",
        "An operator forbids this. A deny beats everything, an allow rule too.",
        ("A known-bad stream (hisi_acc V1 of unfixed kernels), driver build or pair of hosts.",),
        (_SEE, _END, "Else choose another target: `mdevreg targets DEVICE`."),
    ),
    explain(
        "RULE_ALLOWS",
        "An operator allows this, whatever else speaks against it. Without the rule the other reasons would decide.",
        ("Somebody tried that pair of hosts or builds and answers for it.",),
        ("Read the other reasons as well: the rule covers them, it does not disprove them.", _SEE, _END),
    ),
    explain(
        "RULE_PINS",
        "An operator narrowed the versions of this format, and a version within that still loads.",
        ("A fleet is held at a version while some of its hosts are upgraded, so that guests can come back.",),
        ("Nothing to do.", _SEE, "When the upgrade is done, end it: `mdevreg rule end ID`."),
    ),
    explain(
        "RULE_PIN_EXCLUDES",
        "A version would load, but no common one is within what an operator narrowed the format to.",
        (
            "A driver has moved past the pinned versions, or two pins leave nothing in common.",
            "The pin is written in another scheme than the versions: different schemes never compare.",
        ),
        (
            _SEE,
            "Replace it by one with the right versions (`mdevreg rule add pin …`), then `mdevreg rule end ID`.",
            _OTHER,
        ),
    ),
    explain(
        "RULE_NOT_COMPARABLE",
        "A deny names versions in another scheme than the stream's, so that it can't be told whether it is meant.",
        ("The rule was written as `1` where the driver's versions are `1.0`: different schemes never compare.",),
        (
            _SEE,
            "Add the rule again in the stream's scheme (`mdevreg rule add deny … --scheme dotted`), end this one.",
        ),
    ),
    explain(
        "RULE_MATCHES",
        "An operator trusts streams that only the device judges where certain fields agree, and here they do.",
        ("mlx5: same PSID and same firmware on both sides, as the vendor asks.",),
        ("Nothing to do.", _SEE),
    ),
)

EVIDENCE: tuple[Explanation, ...] = (
    explain(
        "SOURCES_CONTRADICT",
        "Two sources say different things of one driver build. The stronger decided; it may be the one that is wrong.",
        (
            "operator beats sysfs beats nvml beats exec beats catalog. An operator's file has grown old, or a plug-in.",
            "A catalog entry names more builds than it should: a fix was backported.",
        ),
        (
            "Compare the two in the sentence beside the code, and correct the one that is wrong.",
            "An operator's catalog file decides over everything else; take out what is no longer needed.",
        ),
    ),
    explain(
        "HOST_STALE",
        "The host's agent has been silent too long: what is known may no longer be true.",
        (
            "The host is down, its agent is not running, or it can't reach the broker.",
            "Its heartbeats have told of changes for half a minute that did not arrive: the registry lags behind.",
        ),
        (
            "On the host: `systemctl status mdevreg-agent`.",
            "`mdevreg hosts` tells when each host was last heard; the limit is --stale-after (60 s).",
        ),
    ),
    explain(
        "HOST_LEFT",
        "The host's agent said goodbye: somebody stopped it, and nothing has been heard since.",
        ("The host is being shut down or rebooted, or the agent is being upgraded.",),
        ("Start it again: `systemctl start mdevreg-agent`. Its first record answers.",),
    ),
    explain(
        "HOST_OUT_OF_SYNC",
        "The registry's picture of the host is not the agent's: records are missing.",
        (
            "The agent's outbox overflowed while the broker was away, or the broker lost messages.",
            "A record of the host is in quarantine.",
        ),
        (
            "Wait for the next complete snapshot; the agent sends it by itself, usually within a minute.",
            "If it stays: `mdevreg-server quarantine list`.",
        ),
    ),
    explain(
        "HOST_NEVER_REPORTED",
        "The registry knows the host's name, but not one fact of it.",
        ("Its agent sends heartbeats, and its records do not arrive or are in quarantine.",),
        (
            "On the host: `systemctl status mdevreg-agent`; what it would publish: `mdevreg-agent scan`.",
            "`mdevreg-server quarantine list`; its permission to publish: docs/operations.md.",
        ),
    ),
    explain(
        "IDENTITY_CONFLICT",
        "Two live agents claim to be this host, so nobody knows whose facts these are.",
        ("A machine was cloned with its agent's state folder, which holds the host id.",),
        (
            "Stop one of the agents, or remove the file host-id in its state folder and start it again.",
            "Then `mdevreg-server conflict clear HOST`.",
        ),
    ),
)

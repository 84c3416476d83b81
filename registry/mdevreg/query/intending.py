"""What every door tells of campaigns and baselines, and how they are written: a part of ``mdevreg.query.door``.

Laws, checked by one contract suite against every door (``tests/contracts/intent_contract.py``): every answer follows
from the log, at any two times; what is written changes no verdict; the same request again changes nothing more.
"""

from __future__ import annotations

from typing import Protocol

from mdevreg.baselines import (
    Baseline,
    BaselineCheck,
    BaselineDraft,
    BaselineList,
    BaselineView,
    CheckAsked,
    Configurations,
)
from mdevreg.campaigns import Campaign, CampaignAsked, CampaignDraft, CampaignList, CampaignStatus, CampaignWhole
from mdevreg.facts import Moment
from mdevreg.rules import Scope


class IntentDoor(Protocol):
    """What operators intend."""

    def campaigns(self, moment: Moment) -> CampaignList:
        """Every campaign that was known, ended ones included, oldest first, with its progress."""
        ...

    def campaign(self, name: str, moment: Moment) -> CampaignWhole:
        """A campaign with the plan that it follows. Raises ``NotFoundError``."""
        ...

    def campaign_status(self, asked: CampaignAsked) -> CampaignStatus:
        """How a campaign stands, and a page of its hosts, the worst first. Raises ``NotFoundError``, ``UsageError``."""
        ...

    def create_campaign(self, draft: CampaignDraft) -> Campaign:
        """Create a campaign. Raises ``UsageError`` (also CAMPAIGN_EXISTS), and as ``add_rule``."""
        ...

    def end_campaign(self, name: str, *, author: str, reason: str = "") -> Campaign:
        """End a campaign now; its progress stays as it is then. Raises ``NotFoundError``, ``UsageError``."""
        ...

    def baselines(self, moment: Moment) -> BaselineList:
        """The version of every baseline that was valid and known, ended ones included."""
        ...

    def baseline(self, name: str, moment: Moment) -> BaselineView:
        """A baseline, or (``NAME@VERSION``) one version of it. Raises ``NotFoundError``."""
        ...

    def check_baseline(self, asked: CheckAsked) -> BaselineCheck:
        """Who deviates from a baseline, and a page of these hosts. Raises ``NotFoundError``, ``UsageError``."""
        ...

    def configurations(self, where: Scope, moment: Moment) -> Configurations:
        """What the types look like that hosts in a scope offer, and on how many hosts: what baselines are made of."""
        ...

    def put_baseline(self, draft: BaselineDraft) -> Baseline:
        """Keep a baseline, or its next version; the same again changes nothing. Raises as ``create_campaign``."""
        ...

    def end_baseline(self, name: str, *, author: str, reason: str = "") -> Baseline:
        """End a baseline now; what it was stays in the history. Raises ``NotFoundError``, ``UsageError``."""
        ...

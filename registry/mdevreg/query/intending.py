"""What every door tells of campaigns and baselines, and how they are written: a part of ``mdevreg.query.door``.

Laws, checked by one contract suite against every door (``tests/contracts/intent_contract.py``): every answer follows
from the log, at any two times; what is written changes no verdict; the same request again changes nothing more.
"""

from __future__ import annotations

from typing import Protocol

from mdevreg.campaigns import Campaign, CampaignAsked, CampaignDraft, CampaignList, CampaignStatus, CampaignWhole
from mdevreg.facts import Moment


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

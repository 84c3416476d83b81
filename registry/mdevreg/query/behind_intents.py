"""Campaigns and baselines through a door with a door behind it: the index knows none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdevreg.query.door import Door


class BehindIntents:
    """``mdevreg.query.intending.IntentDoor``: asked of the door behind."""

    _behind: Callable[[], Door]

    def campaigns(self, moment: Moment) -> CampaignList:
        """Every campaign that was known, ended ones included, oldest first, with its progress."""
        return self._behind().campaigns(moment)

    def campaign(self, name: str, moment: Moment) -> CampaignWhole:
        """A campaign with the plan that it follows."""
        return self._behind().campaign(name, moment)

    def campaign_status(self, asked: CampaignAsked) -> CampaignStatus:
        """How a campaign stands, and a page of its hosts."""
        return self._behind().campaign_status(asked)

    def create_campaign(self, draft: CampaignDraft) -> Campaign:
        """Create a campaign: it is the registry's to write."""
        return self._behind().create_campaign(draft)

    def end_campaign(self, name: str, *, author: str, reason: str = "") -> Campaign:
        """End a campaign now."""
        return self._behind().end_campaign(name, author=author, reason=reason)

    def baselines(self, moment: Moment) -> BaselineList:
        """The version of every baseline that was valid and known, ended ones included."""
        return self._behind().baselines(moment)

    def baseline(self, name: str, moment: Moment) -> BaselineView:
        """A baseline, or one version of it."""
        return self._behind().baseline(name, moment)

    def check_baseline(self, asked: CheckAsked) -> BaselineCheck:
        """Who deviates from a baseline, and a page of these hosts."""
        return self._behind().check_baseline(asked)

    def configurations(self, where: Scope, moment: Moment) -> Configurations:
        """What the types look like that hosts in a scope offer, and on how many hosts."""
        return self._behind().configurations(where, moment)

    def put_baseline(self, draft: BaselineDraft) -> Baseline:
        """Keep a baseline, or its next version: it is the registry's to write."""
        return self._behind().put_baseline(draft)

    def end_baseline(self, name: str, *, author: str, reason: str = "") -> Baseline:
        """End a baseline now."""
        return self._behind().end_baseline(name, author=author, reason=reason)

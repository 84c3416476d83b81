"""Campaigns and baselines through a door with a door behind it: the index knows none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdevreg.campaigns import Campaign, CampaignAsked, CampaignDraft, CampaignList, CampaignStatus, CampaignWhole
from mdevreg.facts import Moment

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

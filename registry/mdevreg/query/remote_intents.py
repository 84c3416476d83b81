"""Campaigns and baselines through a door to a registry somewhere else: the requests, however they travel."""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec import structs

from mdevreg.campaigns import Campaign, CampaignAsked, CampaignDraft, CampaignList, CampaignStatus, CampaignWhole
from mdevreg.facts import Moment
from mdevreg.outcomes import refuse_unprintable
from mdevreg.query.names import possible

T = TypeVar("T")


class RemoteIntents:
    """``mdevreg.query.intending.IntentDoor`` over requests. Fields are those of ``Ask`` and ``Decide``."""

    def _told(self, endpoint: str, kind: type[T], **fields: Any) -> T:
        """Ask a question."""
        raise NotImplementedError

    def _intended(self, endpoint: str, kind: type[T], **fields: Any) -> T:
        """Have something written."""
        raise NotImplementedError

    def campaigns(self, moment: Moment) -> CampaignList:
        """Every campaign that was known, ended ones included, oldest first, with its progress."""
        return self._told("campaigns", CampaignList, **structs.asdict(moment))

    def campaign(self, name: str, moment: Moment) -> CampaignWhole:
        """A campaign with the plan that it follows."""
        return self._told("campaign", CampaignWhole, name=possible(name), **structs.asdict(moment))

    def campaign_status(self, asked: CampaignAsked) -> CampaignStatus:
        """How a campaign stands, and a page of its hosts."""
        refuse_unprintable(asked, "a question")
        return self._told("campaign-status", CampaignStatus, **structs.asdict(asked))

    def create_campaign(self, draft: CampaignDraft) -> Campaign:
        """Create a campaign."""
        refuse_unprintable(draft, "a request")
        return self._intended("create-campaign", Campaign, campaign=draft)

    def end_campaign(self, name: str, *, author: str, reason: str = "") -> Campaign:
        """End a campaign now."""
        fields = {"name": possible(name), "author": possible(author), "reason": possible(reason)}
        return self._intended("end-campaign", Campaign, **fields)

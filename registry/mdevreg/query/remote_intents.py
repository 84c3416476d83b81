"""Campaigns and baselines through a door to a registry somewhere else: the requests, however they travel."""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec import structs

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
from mdevreg.outcomes import refuse_unprintable
from mdevreg.query.names import possible
from mdevreg.rules import Scope, words_of

T = TypeVar("T")

#: Where HTTP has campaigns and baselines, by endpoint.
PATHS = {
    "campaigns": "/v1/campaigns",
    "campaign": "/v1/campaigns/{name}/whole",
    "campaign-status": "/v1/campaigns/{name}",
    "create-campaign": "/v1/campaigns",
    "end-campaign": "/v1/campaigns/{name}/end",
    "baselines": "/v1/baselines",
    "baseline": "/v1/baselines/{name}",
    "baseline-check": "/v1/baselines/{name}/check",
    "configurations": "/v1/configurations",
    "put-baseline": "/v1/baselines",
    "end-baseline": "/v1/baselines/{name}/end",
}


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

    def baselines(self, moment: Moment) -> BaselineList:
        """The version of every baseline that was valid and known, ended ones included."""
        return self._told("baselines", BaselineList, **structs.asdict(moment))

    def baseline(self, name: str, moment: Moment) -> BaselineView:
        """A baseline, or one version of it."""
        return self._told("baseline", BaselineView, name=possible(name), **structs.asdict(moment))

    def check_baseline(self, asked: CheckAsked) -> BaselineCheck:
        """Who deviates from a baseline, and a page of these hosts."""
        refuse_unprintable(asked, "a question")
        fields = {**structs.asdict(asked), "where": words_of(asked.where)}
        return self._told("baseline-check", BaselineCheck, **fields)

    def configurations(self, where: Scope, moment: Moment) -> Configurations:
        """What the types look like that hosts in a scope offer, and on how many hosts."""
        return self._told("configurations", Configurations, where=possible(words_of(where)), **structs.asdict(moment))

    def put_baseline(self, draft: BaselineDraft) -> Baseline:
        """Keep a baseline, or its next version."""
        refuse_unprintable(draft, "a request")
        return self._intended("put-baseline", Baseline, baseline=draft)

    def end_baseline(self, name: str, *, author: str, reason: str = "") -> Baseline:
        """End a baseline now."""
        fields = {"name": possible(name), "author": possible(author), "reason": possible(reason)}
        return self._intended("end-baseline", Baseline, **fields)

/* Namespaces: removed, as js_ns_state.h has it. */
#include "js_ns_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "js_api.h"
#include "js_erase.h"
#include "js_names.h"
#include "wait.h"

/* Who is in it as of info; other pages of its subjects are asked for. *deadline_ns moves on with the time that this took. */
static int
look(struct jetstream *js, const char *ns, const cJSON *info, int64_t *deadline_ns, enum js_inhabitants *who)
{
	int64_t began_ns = clock_mono(js->clock), timeout_ns = *deadline_ns - began_ns;
	uint64_t total = js_number(info, "total", 0), offset = 0;
	cJSON *page = NULL;
	int err = 0;

	*who = JS_NOBODY;
	for (const cJSON *part = info; err == 0 && *who != JS_SOMEBODY;) {
		const cJSON *state = cJSON_GetObjectItemCaseSensitive(part, "state");
		const cJSON *subjects = cJSON_GetObjectItemCaseSensitive(state, "subjects");
		uint64_t count = (uint64_t)cJSON_GetArraySize(subjects);
		if (count > 0)
			err = js_inhabited(js, ns, subjects, timeout_ns, who);
		offset += count;
		if (count == 0 || offset >= total)
			break;
		cJSON_Delete(page);
		page = NULL;
		if (err == 0 && *who != JS_SOMEBODY)
			err = js_ns_any_info(js, ns, true, offset, clock_mono(js->clock) + timeout_ns, &page);
		part = page;
	}
	cJSON_Delete(page);
	*deadline_ns += clock_mono(js->clock) - began_ns;
	return err;
}

/*
 * A move that ends a fence had no answer. It may still come to be carried out, and is not sent again: the second could meet what somebody
 * has made anew behind the first. What becomes of it is seen, or the fence is left to others.
 */
#define MOVE_UNKNOWN (-EINPROGRESS)

static int
moved(int err)
{
	return err == -ENOTCONN ? MOVE_UNKNOWN : err;
}

/* Take the fence away: the namespace is open again, or REMOVED. */
static int
end_fence(struct jetstream *js, const char *ns, const cJSON *info, bool removed, int64_t deadline_ns)
{
	cJSON *description = js_ns_description(info);

	cJSON_DeleteItemFromObjectCaseSensitive(description, "fence");
	if (removed)
		cJSON_AddNumberToObject(description, "removed", (double)js_ns_last_seq(info));
	int err = js_ns_update(js, ns, info, removed ? NULL : "ev", description, deadline_ns);
	cJSON_Delete(description);
	return moved(err);
}

/*
 * The namespace is fenced, and who is in it was found out when it had last_seq: do the one move that is left. give_up_ns: it is not made
 * after that. -ESTALE: somebody else is doing it, or something was appended before the fence. Or MOVE_UNKNOWN.
 */
static int
finish_fence(struct jetstream *js, const char *ns, uint64_t last_seq, enum js_inhabitants who, int64_t give_up_ns, int64_t deadline_ns)
{
	cJSON *info = NULL, *reply = NULL;

	int err = js_ns_probe(js, ns, last_seq, deadline_ns);
	if (err == 0)
		err = js_ns_live_info(js, ns, false, deadline_ns, &info);
	if (err == 0 && who == JS_SOMEBODY) {
		err = end_fence(js, ns, info, false, deadline_ns);
		err = err == 0 ? -ENOTEMPTY : err;
	} else if (err == 0 && clock_mono(js->clock) >= give_up_ns) {
		err = -ETIMEDOUT;
	} else if (err == 0) {
		err = who == JS_ERASED ? end_fence(js, ns, info, true, deadline_ns)
				       : moved(js_ns_call(js, "STREAM.DELETE", ns, NULL, deadline_ns, &reply));
		js_forget_stream(js, ns);
		if (err == 0)
			js_names_tell(js);
	}
	cJSON_Delete(info);
	cJSON_Delete(reply);
	return err;
}

/* One removal. */
struct removal {
	uint64_t epoch;                  /* the namespace's that is to go; 0: not known yet. What is made anew has another */
	char nonce[2 * NONCE_BYTES + 1]; /* of its fence */
	int64_t give_up_ns;
	bool fenced;  /* it may have put one up */
	bool unknown; /* something that it did since had no answer: what is gone may be so by it */
	bool left;    /* its fence is left to others */
};

/* One try, from what info says. *deadline_ns moves on as look moves it. */
static int
fence_and_finish(struct jetstream *js, const char *ns, struct removal *r, const cJSON *info, int64_t *deadline_ns)
{
	cJSON *description = js_ns_description(info);
	const char *fence = js_text(description, "fence", NULL);
	/* Something was stored just before it came: what there is now is looked at, and cannot change any more. */
	bool ours = fence != NULL && strcmp(fence, r->nonce) == 0;
	enum js_inhabitants who;

	int err = look(js, ns, info, deadline_ns, &who);
	if (err == 0 && who == JS_SOMEBODY && fence != NULL && r->left) {
		err = -ESTALE;
	} else if (err == 0 && who == JS_SOMEBODY) {
		err = fence != NULL ? end_fence(js, ns, info, false, *deadline_ns) : 0;
		err = err == 0 ? -ENOTEMPTY : err;
	} else if (err == 0 && fence != NULL && !ours) {
		err = -ESTALE;
	}
	if (err == 0 && !ours) {
		r->give_up_ns = clock_mono(js->clock) + FENCE_OWN_NS;
		r->fenced = true;
		cJSON_AddStringToObject(description, "fence", r->nonce);
		err = js_ns_update(js, ns, info, "rm", description, *deadline_ns);
	}
	if (err == 0)
		err = finish_fence(js, ns, js_ns_last_seq(info), who, r->give_up_ns, *deadline_ns);
	cJSON_Delete(description);
	return err;
}

/* A fence that its remover left behind. 0: the namespace is there after all, as far as is known. */
int
js_ns_finish_abandoned(struct jetstream *js, const char *ns, int64_t deadline_ns)
{
	enum js_inhabitants who;
	cJSON *info = NULL;

	log_warn(js->lg, "namespace %s: finishing a removal that its node left undone", ns);
	int64_t give_up_ns = clock_mono(js->clock) + FENCE_OWN_NS;
	int err = js_ns_live_info(js, ns, true, deadline_ns, &info);
	if (err == 0)
		err = look(js, ns, info, &deadline_ns, &who);
	if (err == 0)
		err = finish_fence(js, ns, js_ns_last_seq(info), who, give_up_ns, deadline_ns);
	cJSON_Delete(info);
	/* The probe has told the others, and ourselves, to wait before the next try. */
	return err == 0 ? -ENOENT : err == -ENOTEMPTY || err == -ESTALE ? 0 : err == MOVE_UNKNOWN ? -ENOTCONN : err;
}

/* Is it still the one that is to go? -ENOENT: that one is gone, whatever is there now. */
static int
same_one(struct removal *r, uint64_t epoch)
{
	if (r->epoch == 0)
		r->epoch = epoch;
	return epoch == r->epoch ? 0 : -ENOENT;
}

/*
 * One try has ended with *err: is another to follow? If not, *err is the outcome. What a lost answer was to, the next try sees: a fence of
 * ours goes on being ours, and where the namespace is no more, it was ours that is done. A fence that we were held up behind, or whose end is
 * under way as far as we know, is left to whoever looks, as that of others; we do.
 */
static bool
remove_again(struct backend *b, const char *ns, struct removal *r, int64_t deadline_ns, int *err)
{
	struct jetstream *js = js_of(b);
	bool held_up = *err == -ETIMEDOUT && clock_mono(js->clock) < deadline_ns;
	struct ns_info info;

	r->unknown |= r->fenced && (held_up || *err == MOVE_UNKNOWN || *err == -ENOTCONN);
	if (held_up || *err == MOVE_UNKNOWN) {
		js_ns_new_nonce(js, r->nonce);
		r->left = true;
		*err = -ESTALE;
	}
	if (*err == -ESTALE) {
		int now = js_ns_info(b, ns, deadline_ns, &info);
		if (now == -ENOENT || (now == 0 && same_one(r, info.epoch) != 0))
			*err = -ENOENT;
	}
	if (*err == -ENOENT && r->unknown) {
		js_names_tell(js);
		*err = 0;
	}
	return *err == -ESTALE || *err == -ENOTCONN;
}

int
js_ns_remove(struct backend *b, const char *ns, int64_t deadline_ns)
{
	struct jetstream *js = js_of(b);
	struct removal r = { .epoch = 0 };
	unsigned tries = 0;
	int err;

	js_ns_new_nonce(js, r.nonce);
	for (;;) {
		uint64_t epoch, last_seq;
		cJSON *info = NULL;
		err = js_ns_live_info(js, ns, true, deadline_ns, &info);
		if (err == 0) {
			js_stream_state(info, &epoch, &last_seq);
			err = same_one(&r, epoch);
		}
		if (err == 0)
			err = fence_and_finish(js, ns, &r, info, &deadline_ns);
		cJSON_Delete(info);
		if (err == 0 || !remove_again(b, ns, &r, deadline_ns, &err))
			return err;
		err = wait_retry(b, js->clock, deadline_ns, &tries);
		if (err != 0)
			return err;
	}
}

/*
 * RFC 7396 as its section 2 writes it, on trees of cJSON: what store/fold.c is compared with. Slow, and numbers are
 * doubles. Shared by the unit test and the fuzz target, hence a header.
 */
#ifndef AETHER_TESTS_MERGE_CJSON_H
#define AETHER_TESTS_MERGE_CJSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>

static inline void merge_cjson(cJSON *target, const cJSON *patch, bool nulls_delete);

/* What the member of the target becomes, a new tree. is_there: what it was, or NULL. */
static inline cJSON *
merge_cjson_value(const cJSON *is_there, const cJSON *value, bool nulls_delete)
{
	cJSON *result;

	if (!cJSON_IsObject(value))
		return cJSON_Duplicate(value, true);
	result = nulls_delete && cJSON_IsObject(is_there) ? cJSON_Duplicate(is_there, true) : cJSON_CreateObject();
	merge_cjson(result, value, nulls_delete);
	return result;
}

/* Both are objects. Without nulls_delete into an empty object: only leaves out the repeated keys. */
static inline void
merge_cjson(cJSON *target, const cJSON *patch, bool nulls_delete)
{
	for (const cJSON *member = patch->child; member != NULL; member = member->next) {
		const char *name = member->string;
		cJSON *is_there = cJSON_GetObjectItemCaseSensitive(target, name);
		if (cJSON_IsNull(member) && nulls_delete) {
			cJSON_DeleteItemFromObjectCaseSensitive(target, name);
			continue;
		}
		cJSON *value = merge_cjson_value(is_there, member, nulls_delete);
		if (is_there != NULL)
			cJSON_ReplaceItemInObjectCaseSensitive(target, name, value);
		else
			cJSON_AddItemToObject(target, name, value);
	}
}

#endif

#include "contract.h"

#include <errno.h>
#include <stdlib.h>

#include "contract_node.h"

static const struct contract *subject;

const struct contract *
contract_subject(void)
{
	return subject;
}

int
contract_run(const struct contract *c, const struct check_test *extra, size_t extra_count, int argc, char **argv)
{
	const struct {
		const struct check_test *tests;
		size_t count;
	} parts[] = {
		{ contract_append_tests, contract_append_count },
		{ contract_async_tests, contract_async_count },
		{ contract_ids_tests, contract_ids_count },
		{ contract_forward_tests, contract_forward_count },
		{ contract_read_tests, contract_read_count },
		{ contract_broken_tests, contract_broken_count },
		{ contract_ns_tests, contract_ns_count },
		{ contract_past_tests, contract_past_count },
		{ contract_types_tests, contract_types_count },
		{ contract_snapshot_tests, contract_snapshot_count },
		{ contract_index_tests, contract_index_count },
		{ contract_erase_tests, contract_erase_count },
		{ contract_follow_tests, contract_follow_count },
		{ contract_names_tests, contract_names_count },
		{ contract_threads_tests, contract_threads_count },
		{ extra, extra_count },
	};
	struct check_test all[256];
	size_t count = 0;

	subject = c;
	for (size_t i = 0; i < MANY(parts); i++)
		for (size_t k = 0; k < parts[i].count && count < MANY(all); k++)
			all[count++] = parts[i].tests[k];
	return check_run(all, count, argc, argv);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * A Linux guest's look at HvExtCallGetBootZeroedMemory: when it is loaded this module asks which
 * pages are zero, reads each page that was named, and counts the zero pages of all memory, so that
 * the log says whether the answer is true and how much of the truth it is.
 *
 * Nothing else runs meanwhile: all vCPUs are stopped and interrupts are off. What writes memory by
 * itself, such as a network card, must be quiet. Linux 6.1.
 */
#include <linux/gfp.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/stop_machine.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/mshyperv.h>

#define QUERY_CAPABILITIES 0x8001
#define GET_BOOT_ZEROED_MEMORY 0x8002
#define BOOT_ZEROED_MEMORY_BIT 0
#define MAXIMUM_RANGE_COUNT 255
/* 64 GiB: where this stops to look for memory. */
#define END_PFN (16UL << 20)

static char *moment = "once";
module_param(moment, charp, 0);
MODULE_PARM_DESC(moment, "what the line in the log begins with");

struct reply {
	u64 range_count;
	struct {
		u64 start_pfn;
		u64 page_count;
	} ranges[MAXIMUM_RANGE_COUNT];
};

static struct reply *reply;
static u64 capabilities, status, status_of_query;
static unsigned long reported, reported_not_zero, reported_elsewhere, zero, pages;

/* Of what the kernel has in its direct map. */
static bool is_zero(unsigned long pfn)
{
	void *page = __va(pfn << PAGE_SHIFT);
	u64 first;

	return !copy_from_kernel_nofault(&first, page, sizeof(first)) &&
	       !memchr_inv(page, 0, PAGE_SIZE);
}

/* The first MiB is mapped as a whole, and is memory where there is no display. */
static bool is_memory(unsigned long pfn)
{
	struct page *page = pfn_to_online_page(pfn);

	return page && (pfn < (1 << 20) >> PAGE_SHIFT || !PageReserved(page) || page_is_ram(pfn));
}

static int ask(void *unused)
{
	unsigned long pfn;
	u64 index;

	status_of_query = hv_do_hypercall(QUERY_CAPABILITIES, NULL, reply);
	capabilities = reply->range_count;
	memset(reply, 0xFF, PAGE_SIZE);
	status = hv_do_hypercall(GET_BOOT_ZEROED_MEMORY, NULL, reply);
	if (status || reply->range_count > MAXIMUM_RANGE_COUNT)
		return -EIO;

	for (index = 0; index < reply->range_count; index++) {
		u64 end = reply->ranges[index].start_pfn + reply->ranges[index].page_count;

		for (pfn = reply->ranges[index].start_pfn; pfn < end; pfn++) {
			reported++;
			if (!is_memory(pfn))
				reported_elsewhere++;
			else if (!is_zero(pfn))
				reported_not_zero++;
		}
	}
	for (pfn = 0; pfn < END_PFN; pfn++) {
		if (!pfn_to_online_page(pfn)) {
			pfn |= PAGES_PER_SECTION - 1;
		} else if (is_memory(pfn)) {
			pages++;
			zero += is_zero(pfn);
		}
	}
	return 0;
}

static int __init zeroed_memory_init(void)
{
	int error;

	reply = (struct reply *)__get_free_page(GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	memset(reply, 0xFF, PAGE_SIZE);
	error = stop_machine(ask, NULL, NULL);
	if (error || status_of_query || !(capabilities & BIT(BOOT_ZEROED_MEMORY_BIT)))
		pr_notice("zeroed_memory: %s: status 0x%llx, of the query 0x%llx, capabilities 0x%llx\n",
			  moment, status, status_of_query, capabilities);
	else
		pr_notice("zeroed_memory: %s: %lu pages in %llu ranges, not zero %lu, not memory %lu; of %lu pages %lu are zero\n",
			  moment, reported, reply->range_count, reported_not_zero,
			  reported_elsewhere, pages, zero);
	free_page((unsigned long)reply);
	return error;
}

static void __exit zeroed_memory_exit(void)
{
}

module_init(zeroed_memory_init);
module_exit(zeroed_memory_exit);
MODULE_DESCRIPTION("Asks Hyper-V which memory is zero, and checks the answer");
MODULE_LICENSE("GPL");

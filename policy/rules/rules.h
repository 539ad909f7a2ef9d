/* policy/rules/rules.h: what each kind of rule means.   PURE.
 * Purpose  One file per kind: which parts its YAML has, and whether a VM may go to a host.
 * Shapes   a fleet is the part of the planner's world that rules look at: dense ids, where each VM is
 *          (at; -1: nowhere, it is to be started) and where it also counts (to: move in flight or
 *          planned, -1 none).
 * Moves    A VM in flight counts on both ends for anti_affinity and max_vms, and for spread at the end
 *          that helps less. Affinity looks at where its group will be: at `to` if there is one; a
 *          member that is still to leave (leaving) and has no target yet says nothing.
 * Owner    borrows all.   Thread any. */
#pragma once

#include "lib/model/model.h"
#include "lib/model/reason.h"
#include "policy/policy.h"

struct fleet {
    const struct vm **vms;
    size_t n_vms;
    const struct host **hosts;
    size_t n_hosts;
    int *at, *to;  /* per VM */
    bool *leaving; /* per VM: it is to leave `at`, its target is not decided */
};
/* Which VMs and hosts a rule is about: members ascending; hosts one flag per host; domain: of each host
 * at the rule's level, -1 not known, NULL if the kind does not count domains. */
struct rule_match {
    int *members;
    size_t n_members;
    bool *hosts;
    int *domain;
};
enum strength { ALWAYS_HARD, HARD_OR_SOFT, ALWAYS_SOFT };
struct rule_def {
    const char *doc;   /* for the schema */
    bool vms_required; /* else optional: all VMs */
    bool hosts_allowed, hosts_required;
    bool across_allowed; /* host, rack, zone */
    bool max_required;
    bool min_required;
    bool counts_domains; /* rule_match.domain is filled */
    enum strength strength;
    /* Would the rule hold with vm (one of its members) on host too? On "no" fills *ret_why unless it
     * is NULL: code, what, need, have, cure. NULL: the kind never refuses a host. */
    bool (*allows)(const struct rule *r, const struct rule_match *m, const struct fleet *f, int vm,
                   int host, struct reason *ret_why);
};
extern const struct rule_def rule_anti_affinity, rule_affinity, rule_host_required,
    rule_host_forbidden, rule_max_vms, rule_exclude, rule_maintenance_only, rule_spread,
    rule_host_preferred;
extern const struct rule_def *const rule_defs[RULE_KINDS]; /* by enum rule_kind */

/* Whom each rule of the policy is about: ret[rule], to be released one by one. */
void rules_match(const struct policy *p, const struct fleet *f, struct rule_match *ret);
void rule_match_done(struct rule_match *m);
void rule_done(struct rule *r);

/* Are two hosts in the same failure domain? Unknown when a rack or zone is not configured: rules
 * then refuse, because nothing proves that they hold. */
enum same { SAME_NO, SAME_YES, SAME_UNKNOWN };
enum same same_domain(int level, const struct host *a, const struct host *b);
/* Domains that a rule spread asks for: no more than it has VMs. */
int spread_need(const struct rule *r, const struct rule_match *m);
/* Hosts in one domain of the level have one number, from 0 on; -1: the host does not say in which it
 * is. *ret_n: how many. Gives. */
int *number_domains(int level, const struct fleet *f, int *ret_n);
/* "host h2", "rack r1" (of host h), for people. Gives. */
char *domain_text(int level, const struct host *h);
/* "names db-*, labels app=db", for people. Gives. */
char *selector_text(const struct selector *s);
/* A leftover definition of the same VM is not another VM. */
bool fleet_same_vm(const struct fleet *f, int a, int b);

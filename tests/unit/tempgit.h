/* tests/unit/tempgit.h: commits of a test's own repository. */
#pragma once

#include <git2.h>

#include "lib/base/mem.h"

/* Everything in the work tree, on top of HEAD. */
static inline void git_commit_all(git_repository *repo, const char *message)
{
    git_index *index;
    git_oid tree_id, id, head;
    git_tree *tree;
    git_signature *who;
    git_commit *parent = NULL;
    git_strarray all = {(char *[]){(char *)(uintptr_t) "*"}, 1};
    assert_int_equal(git_repository_index(&index, repo), 0);
    assert_int_equal(git_index_add_all(index, &all, 0, NULL, NULL), 0);
    assert_int_equal(git_index_update_all(index, &all, NULL, NULL), 0);
    assert_int_equal(git_index_write(index), 0);
    assert_int_equal(git_index_write_tree(&tree_id, index), 0);
    assert_int_equal(git_tree_lookup(&tree, repo, &tree_id), 0);
    assert_int_equal(git_signature_new(&who, "Ann Ode", "ann@example.org", 1700000000, 60), 0);
    if (git_reference_name_to_id(&head, repo, "HEAD") == 0)
        assert_int_equal(git_commit_lookup(&parent, repo, &head), 0);
    const git_commit *parents[] = {parent};
    assert_int_equal(git_commit_create(&id, repo, "HEAD", who, who, NULL, message, tree,
                                       parent ? 1 : 0, (void *)parents),
                     0);
    git_commit_free(parent);
    git_signature_free(who);
    git_tree_free(tree);
    git_index_free(index);
}

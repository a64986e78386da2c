/* responses_keep.c - the conversations that clients of /v1/responses leave with
 * us: what a request begins with, what is kept of it, and the routes that show
 * and delete it. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "proxy/responses.h"

static const cJSON *get(const cJSON *json, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(json, key);
}

bool responses_prepare(const struct responses_store *s, const char *owner,
                       cJSON *body, struct err *err) {
    struct response_stored found;
    const char *previous = NULL;
    cJSON *context;

    if (!cJSON_IsObject(body)) return true; /* the parser says so */
    cJSON_DeleteItemFromObjectCaseSensitive(body, RESPONSES_CONTEXT_KEY);
    if (!json_get_string(body, "", "previous_response_id", &previous, err))
        return false;
    if (!previous) return true;
    if (!responses_store_find(s, span_of(previous), owner, &found))
        return err_set_field(err, ERR_NOT_FOUND, "previous_response_id",
                             "previous_response_id: there is no such response");
    context = json_parse(found.context, err);
    if (!context) return false;
    (void)cJSON_AddItemToObject(body, RESPONSES_CONTEXT_KEY, context);
    return true;
}

/* The items of this request, each with a type and an id. */
static cJSON *input_items(const cJSON *body) {
    const cJSON *input = get(body, "input"), *json;
    cJSON *list = cJSON_CreateArray();

    if (cJSON_IsString(input)) {
        cJSON *item = cJSON_CreateObject(), *parts, *part;

        (void)cJSON_AddStringToObject(item, "type", "message");
        (void)cJSON_AddStringToObject(item, "role", "user");
        parts = cJSON_AddArrayToObject(item, "content");
        part = cJSON_CreateObject();
        (void)cJSON_AddStringToObject(part, "type", "input_text");
        (void)cJSON_AddStringToObject(part, "text", input->valuestring);
        (void)cJSON_AddItemToArray(parts, part);
        (void)cJSON_AddItemToArray(list, item);
    } else {
        cJSON_ArrayForEach(json, input)
            cJSON_AddItemToArray(list, cJSON_Duplicate(json, true));
    }
    cJSON_ArrayForEach(json, list) {
        cJSON *item = (cJSON *)(uintptr_t)json;
        char id[HASH_ID_SIZE], name[HASH_ID_SIZE + 8];

        hash_random_id(id);
        (void)snprintf(name, sizeof name, "item_%s", id);
        if (!get(item, "type"))
            (void)cJSON_AddStringToObject(item, "type", "message");
        if (!get(item, "id")) (void)cJSON_AddStringToObject(item, "id", name);
    }
    return list;
}

static void move_all(cJSON *from, cJSON *to) {
    cJSON *item;

    while ((item = cJSON_DetachItemFromArray(from, 0)))
        (void)cJSON_AddItemToArray(to, item);
}

/* What a next request begins with: all before, this one and its answer. */
static cJSON *context_of(const cJSON *body, const cJSON *input,
                         const struct reply *reply,
                         const struct reply_choice *choice) {
    const cJSON *before = get(body, RESPONSES_CONTEXT_KEY);
    cJSON *context =
        before ? cJSON_Duplicate(before, true) : cJSON_CreateArray();
    cJSON *copy, *output;
    struct bytes text = {0};

    if (choice->finish == REPLY_FILTERED) return context;
    copy = cJSON_Duplicate(input, true);
    move_all(copy, context);
    cJSON_Delete(copy);
    if (responses_put_output(reply, choice, &text, NULL)) {
        output = json_parse(span_bytes(&text), NULL);
        if (output) move_all(output, context);
        cJSON_Delete(output);
    }
    bytes_free(&text);
    return context;
}

void responses_keep(struct responses_store *s, const char *owner,
                    const cJSON *body, const struct reply *reply,
                    const struct reply_choice *choice) {
    cJSON *input, *context;
    struct bytes response = {0}, items = {0}, all = {0};
    char id[RESPONSES_ID_SIZE];

    if (cJSON_IsFalse(get(body, "store"))) return;
    (void)snprintf(id, sizeof id, "resp_%s", reply->id);
    input = input_items(body);
    context = context_of(body, input, reply, choice);
    if (responses_put(reply, choice, &response, NULL) &&
        json_print(input, &items, NULL) && json_print(context, &all, NULL)) {
        struct response_stored stored = {span_bytes(&response),
                                         span_bytes(&items), span_bytes(&all)};

        responses_store_put(s, id, owner, &stored);
    }
    cJSON_Delete(input);
    cJSON_Delete(context);
    bytes_free(&response);
    bytes_free(&items);
    bytes_free(&all);
}

/* ---- the routes ---- */

static bool not_found(struct err *err) {
    return err_set(err, ERR_NOT_FOUND, "there is no such response");
}

static bool put_id(const char *key, const cJSON *item, struct bytes *out,
                   struct err *err) {
    const cJSON *id = get(item, "id");

    return bytes_printf(out, err, ",\"%s\":", key) &&
           (id ? json_print(id, out, err) : bytes_printf(out, err, "null"));
}

/* The newest first, unless the client asks for `order=asc`. */
static bool put_items(struct span input, bool ascending, struct bytes *out,
                      struct err *err) {
    cJSON *list = json_parse(input, err);
    int count = cJSON_GetArraySize(list);
    const cJSON *first, *last;
    bool ok = list && bytes_printf(out, err, "{\"object\":\"list\",\"data\":[");

    for (int i = 0; ok && i < count; i++)
        ok = bytes_printf(out, err, i ? "," : "") &&
             json_print(cJSON_GetArrayItem(list, ascending ? i : count - 1 - i),
                        out, err);
    first = cJSON_GetArrayItem(list, ascending ? 0 : count - 1);
    last = cJSON_GetArrayItem(list, ascending ? count - 1 : 0);
    ok = ok && bytes_printf(out, err, "]") &&
         put_id("first_id", first, out, err) &&
         put_id("last_id", last, out, err) &&
         bytes_printf(out, err, ",\"has_more\":false}");
    cJSON_Delete(list);
    return ok;
}

bool responses_get(const struct responses_store *s, const char *owner,
                   struct span rest, struct span query, struct bytes *out,
                   struct err *err) {
    static const char items[] = "/input_items";
    size_t at = span_find(rest, span_of("/"));
    struct span id = span_slice(rest, 0, at);
    struct response_stored found;

    if (at != SIZE_MAX && !span_is(span_slice(rest, at, rest.size), items))
        return not_found(err);
    if (!responses_store_find(s, id, owner, &found)) return not_found(err);
    if (at == SIZE_MAX)
        return bytes_append(out, found.response.at, found.response.size, err);
    return put_items(found.input,
                     span_find(query, span_of("order=asc")) != SIZE_MAX, out,
                     err);
}

bool responses_delete(struct responses_store *s, const char *owner,
                      struct span rest, struct bytes *out, struct err *err) {
    if (!responses_store_remove(s, rest, owner)) return not_found(err);
    return bytes_printf(out, err, "{\"id\":") &&
           json_put_string(out, rest, err) &&
           bytes_printf(out, err, ",\"object\":\"response\",\"deleted\":true}");
}

-- The demo database's rows. Everything is computed from row numbers and :seed, so the same :seed and :megabytes give
-- the same rows on every machine; no random(), no now(). The last five tables grow with :megabytes, the others are small.

-- pick(i, salt, n): a number from 0 to n-1 that looks random and belongs to row i.
CREATE FUNCTION pg_temp.pick(i bigint, salt bigint, n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
    RETURN (hashint8extended(i, :seed * 1000 + salt) & 9223372036854775807) % n;

-- low(i, salt, n): the same, but small numbers come far more often, as counts in real life do.
CREATE FUNCTION pg_temp.low(i bigint, salt bigint, n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
    RETURN (n * power(pg_temp.pick(i, salt, 1000000) / 1000000.0::float8, 4))::bigint;

CREATE FUNCTION pg_temp.moment(i bigint, rows bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE
    RETURN timestamptz '2025-01-01 00:00:00+00' + interval '1 second' * ((i - 1) * 31449600 / rows);

-- prose(i, salt, length): that many letters out of a long stretch of text-like words.
-- The stretch becomes a constant inside the function: fetching it from a table for every row takes far longer.
DO $$
DECLARE
    words text[] := string_to_array('channel growth post view reader media today weekly story launch price market signal '
        'update morning evening report audience reach forward comment question answer video photo link source breaking team '
        'season match score player release feature version beta stable error network server weather storm city travel guide '
        'recipe garden music concert ticket summer winter bank rate share trade coin energy water school student science '
        'paper study health doctor sleep run walk bike train flight hotel beach island mountain river forest art film book '
        'the a of to and in is for with on at from by this that new more now how why who when all one two first last best', ' ');
    corpus text;
BEGIN
    SELECT string_agg(words[1 + (power(pg_temp.pick(i, 1, 1000000) / 1000000.0::float8, 1.5)
                                 * (array_length(words, 1) - 1))::int], ' ' ORDER BY i)
      INTO corpus FROM generate_series(1, 50000) i;
    EXECUTE format($f$CREATE FUNCTION pg_temp.prose(i bigint, salt bigint, length integer) RETURNS text LANGUAGE sql IMMUTABLE
        AS $b$ SELECT convert_from(substr(%L::bytea, 1 + pg_temp.pick(i, salt, %s)::int, length), 'UTF8') $b$ $f$,
        corpus, length(corpus) - 2000);
END
$$;

INSERT INTO schema_version SELECT 'v' || i, timestamptz '2025-01-01 08:00+00' + i * interval '9 days' FROM generate_series(1, 37) i;
INSERT INTO roles SELECT i, (enum_range(NULL::user_level))[i + 1], (ARRAY['read', 'post', 'moderate', 'manage', 'own'])[1:i + 1]
    FROM generate_series(0, 4) i;
INSERT INTO users
    SELECT i, 100000000 + pg_temp.pick(i, 1, 900000000), 'user_' || i, CASE WHEN i % 3 > 0 THEN 'user' || i || '@example.org' END,
           (CASE WHEN i = 1 THEN 'owner' WHEN i < 5 THEN 'admin' WHEN i < 20 THEN 'moderator' ELSE 'user' END)::user_level,
           jsonb_build_object('theme', (ARRAY['light', 'dark'])[1 + i % 2], 'digest', i % 5 = 0), pg_temp.moment(i, 1500), pg_temp.moment(i, 1500)
    FROM generate_series(1, 1500) i;
INSERT INTO user_roles SELECT i, CASE WHEN i = 1 THEN 4 WHEN i < 5 THEN 3 WHEN i < 20 THEN 2 ELSE 1 END, pg_temp.moment(i, 1500)
    FROM generate_series(1, 1500) i;
INSERT INTO sessions
    SELECT md5(:seed || ' session ' || i)::uuid, 1 + pg_temp.low(i, 1, 1499), inet '10.0.0.0' + pg_temp.pick(i, 2, 65536),
           'Mozilla/5.0 (X11; Linux) Demo/' || pg_temp.pick(i, 3, 40), pg_temp.moment(i, 20000), pg_temp.moment(i + 1, 20000)
    FROM generate_series(1, 20000) i;
INSERT INTO api_keys SELECT i, i * 7, decode(md5(:seed || ' key ' || i), 'hex'), ARRAY['read', 'stats'] FROM generate_series(1, 90) i;
INSERT INTO plans VALUES (1, 'Free', 0, '{"channels": 1}'), (2, 'Pro', 9.90, '{"channels": 10}'), (3, 'Agency', 49, '{"channels": null}');
INSERT INTO subscriptions SELECT i, i, 1 + i % 3, tstzrange(pg_temp.moment(i, 1500), NULL) FROM generate_series(1, 1500) i;
INSERT INTO payments SELECT i, 1 + pg_temp.pick(i, 1, 1500), (ARRAY[9.90, 49, 99])[1 + pg_temp.pick(i, 2, 3)], pg_temp.moment(i, 6000)
    FROM generate_series(1, 6000) i;
INSERT INTO invoices (payment_id, net) SELECT payment_id, amount FROM payments ORDER BY payment_id;
INSERT INTO referrals SELECT i, i - 1 - pg_temp.pick(i, 1, i - 1), upper(left(md5(:seed || ' code ' || i), 8))
    FROM generate_series(2, 1500, 4) i;

INSERT INTO channels
    SELECT i, -1000000000000 - pg_temp.pick(i, 1, 900000000), 1 + pg_temp.low(i, 2, 400),
           (ARRAY['Kanal für Ökonomie', 'Новости дня', 'Tech & Co. 🚀', '市場の声', 'Daily "Signals"'])[1 + i % 5] || ' ' || i,
           (ARRAY['de', 'ru', 'en', 'ja', 'en'])[1 + i % 5], pg_temp.low(i, 3, 250000), NULL, pg_temp.moment(i, 84)
    FROM generate_series(1, 84) i;
INSERT INTO channel_admins SELECT c, 1 + (c * 17 + n * 131) % 1500, n < 2 FROM generate_series(1, 84) c, generate_series(0, 3) n;
INSERT INTO channel_settings SELECT i, jsonb_build_object('timezone', 'Europe/Berlin', 'quiet', jsonb_build_array(i % 24, i % 7))
    FROM generate_series(1, 84) i;
INSERT INTO channel_growth SELECT c, date '2025-01-01' + d, pg_temp.low(c * 400 + d, 1, 900), pg_temp.low(c * 400 + d, 2, 300)
    FROM generate_series(1, 84) c, generate_series(0, 364) d;
INSERT INTO categories SELECT i, CASE WHEN i > 6 THEN 1 + i % 6 END, 'category ' || i FROM generate_series(1, 30) i;
INSERT INTO channel_categories SELECT c, 1 + (c * 7 + n * 11) % 30 FROM generate_series(1, 84) c, generate_series(0, 1) n;
INSERT INTO posts (post_id, channel_id, author_id, state, title, body, entities, published_at, updated_at)
    SELECT i, 1 + pg_temp.low(i, 1, 83), 1 + pg_temp.pick(i, 2, 1500),
           (CASE WHEN i % 50 = 0 THEN 'draft' WHEN i % 71 = 0 THEN 'deleted' ELSE 'published' END)::post_state,
           initcap(pg_temp.prose(i, 3, 48)), pg_temp.prose(i, 4, 400 + pg_temp.pick(i, 5, 1400)::int),
           jsonb_build_array(jsonb_build_object('type', 'url', 'offset', pg_temp.pick(i, 6, 400))),
           CASE WHEN i % 50 > 0 THEN pg_temp.moment(i, 2772) END, pg_temp.moment(i, 2772)
    FROM generate_series(1, 2772) i;
UPDATE channels SET pinned_post_id = (SELECT min(post_id) FROM posts WHERE posts.channel_id = channels.channel_id);
INSERT INTO post_versions SELECT p, v, pg_temp.prose(p * 4 + v, 1, 600) FROM generate_series(1, 2772) p, generate_series(1, 3) v;
INSERT INTO post_media
    SELECT i, i, 'image/jpeg', CASE WHEN i % 6 > 0 THEN decode(repeat('ffd8', 8) || (
               SELECT string_agg(md5(:seed || ' pixel ' || i || ' ' || n), '') FROM generate_series(1, 24) n), 'hex') END
    FROM generate_series(1, 2772) i;
INSERT INTO tags SELECT i, 'tag' || i FROM generate_series(1, 240) i;
INSERT INTO post_tags SELECT p, 1 + (p * 13 + n * 61) % 240 FROM generate_series(1, 2772) p, generate_series(0, 3) n;
INSERT INTO post_reactions SELECT p, e, pg_temp.low(p, n, 5000)
    FROM generate_series(1, 2772) p, unnest(ARRAY['👍', '❤️', '🔥', '🤔', '👎']) WITH ORDINALITY AS reaction (e, n);
INSERT INTO scheduled_posts SELECT post_id, timestamptz '2026-01-02 09:00+00' + post_id * interval '1 hour', 0 FROM posts WHERE state = 'draft';
INSERT INTO metric_definitions VALUES ('views', 'count', NULL), ('engagement', 'percent', '(reactions + replies + forwards) / views * 100'),
    ('reach', 'percent', 'views / subscribers * 100');
INSERT INTO alert_rules SELECT i, 1 + i % 84, (ARRAY['views', 'engagement', 'reach'])[1 + i % 3], i * 1.5 FROM generate_series(1, 160) i;
INSERT INTO alerts SELECT i, 1 + pg_temp.pick(i, 1, 160), pg_temp.moment(i, 4000), pg_temp.pick(i, 2, 100000) / 7.0 FROM generate_series(1, 4000) i;
INSERT INTO notifications SELECT i, 1 + pg_temp.pick(i, 1, 1500), CASE WHEN i % 4 > 0 THEN 1 + i % 4000 END, pg_temp.prose(i, 2, 90), i % 3 = 0
    FROM generate_series(1, 12000) i;
INSERT INTO reports SELECT c * 12 + m, c, date '2025-01-01' + (m || ' months')::interval,
    jsonb_build_object('views', pg_temp.low(c * 12 + m, 1, 900000), 'best', pg_temp.pick(c * 12 + m, 2, 2772))
    FROM generate_series(1, 84) c, generate_series(0, 11) m;
INSERT INTO experiments SELECT i, i, pg_temp.prose(i, 1, 70) || '?' FROM generate_series(1, 40) i;
INSERT INTO experiment_variants SELECT e, v, 1 + pg_temp.pick(e, ascii(v), 2772) FROM generate_series(1, 40) e, unnest(ARRAY['A', 'B']) v;

-- The bulk.
INSERT INTO post_comments
    SELECT i, 1 + pg_temp.low(i, 1, 2771), 100000000 + pg_temp.pick(i, 2, 900000000), pg_temp.prose(i, 3, 20 + pg_temp.low(i, 4, 300)::int),
           pg_temp.moment(i, :megabytes * 280)
    FROM generate_series(1, :megabytes * 280) i;
INSERT INTO deliveries
    SELECT i, 1 + pg_temp.pick(i, 1, 2772), 1 + pg_temp.pick(i, 2, 1500), pg_temp.moment(i, :megabytes * 900),
           CASE WHEN i % 97 = 0 THEN 'Forbidden: bot was blocked by the user' END
    FROM generate_series(1, :megabytes * 900) i;
INSERT INTO metrics
    SELECT 1 + i % 2772, pg_temp.moment(i, :megabytes * 2600), views, forwards, reactions, replies,
           round((forwards + reactions + replies) * 100.0 / (views + 1), 4), CASE WHEN i % 9 = 0 THEN 'mtproto' ELSE 'bot_api' END
    FROM generate_series(1, :megabytes * 2600) i,
         LATERAL (SELECT 500 + i % 2772 * 13 + pg_temp.pick(i, 1, 900) AS views, pg_temp.low(i, 2, 60) AS forwards,
                         pg_temp.low(i, 3, 400) AS reactions, pg_temp.low(i, 4, 90) AS replies) AS counted;
INSERT INTO raw_updates
    SELECT i, pg_temp.moment(i, :megabytes * 420), jsonb_build_object(
               'update_id', 700000000 + i, 'type', (ARRAY['channel_post', 'edited_channel_post', 'message_reaction'])[1 + pg_temp.pick(i, 1, 3)],
               'chat', jsonb_build_object('id', -1000000000000 - pg_temp.pick(i, 2, 84), 'type', 'channel'),
               'from', jsonb_build_object('id', 100000000 + pg_temp.pick(i, 3, 900000000), 'is_bot', false),
               'message_id', pg_temp.pick(i, 4, 2772), 'views', pg_temp.low(i, 5, 90000), 'text', pg_temp.prose(i, 6, 250 + pg_temp.pick(i, 7, 400)::int))
    FROM generate_series(1, :megabytes * 420) i;
INSERT INTO audit_log
    SELECT i, pg_temp.moment(i, :megabytes * 520), 1 + pg_temp.low(i, 1, 1499), (ARRAY['login', 'post.edit', 'post.publish', 'export'])[1 + pg_temp.pick(i, 2, 4)],
           inet '10.0.0.0' + pg_temp.pick(i, 3, 16777216), 'request ' || md5(:seed || ' request ' || i) || ': ' || pg_temp.prose(i, 4, 120)
    FROM generate_series(1, :megabytes * 520) i;

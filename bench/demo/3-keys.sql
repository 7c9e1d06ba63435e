-- The demo database's keys, indexes, views and privileges.

ALTER TABLE schema_version ADD PRIMARY KEY (version);
ALTER TABLE users ADD PRIMARY KEY (user_id), ADD UNIQUE (username);
ALTER TABLE roles ADD PRIMARY KEY (role_id);
ALTER TABLE user_roles ADD PRIMARY KEY (user_id, role_id), ADD FOREIGN KEY (user_id) REFERENCES users, ADD FOREIGN KEY (role_id) REFERENCES roles;
ALTER TABLE sessions ADD PRIMARY KEY (session_id), ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE;
ALTER TABLE api_keys ADD PRIMARY KEY (key_id), ADD FOREIGN KEY (user_id) REFERENCES users;
ALTER TABLE plans ADD PRIMARY KEY (plan_id);
ALTER TABLE subscriptions ADD PRIMARY KEY (subscription_id), ADD FOREIGN KEY (user_id) REFERENCES users, ADD FOREIGN KEY (plan_id) REFERENCES plans;
ALTER TABLE payments ADD PRIMARY KEY (payment_id), ADD FOREIGN KEY (subscription_id) REFERENCES subscriptions;
ALTER TABLE invoices ADD PRIMARY KEY (number), ADD FOREIGN KEY (payment_id) REFERENCES payments;
ALTER SEQUENCE invoice_number OWNED BY invoices.number;
ALTER TABLE referrals ADD PRIMARY KEY (user_id), ADD FOREIGN KEY (user_id) REFERENCES users, ADD FOREIGN KEY (invited_by) REFERENCES users;

ALTER TABLE posts ADD PRIMARY KEY (post_id);
ALTER TABLE channels ADD PRIMARY KEY (channel_id), ADD FOREIGN KEY (owner_id) REFERENCES users;
-- A channel pins one of its posts, and a post belongs to a channel: a cycle, as real schemas have them.
ALTER TABLE channels ADD FOREIGN KEY (pinned_post_id) REFERENCES posts;
ALTER TABLE posts ADD FOREIGN KEY (channel_id) REFERENCES channels, ADD FOREIGN KEY (author_id) REFERENCES users;
ALTER TABLE channel_admins ADD PRIMARY KEY (channel_id, user_id), ADD FOREIGN KEY (channel_id) REFERENCES channels, ADD FOREIGN KEY (user_id) REFERENCES users;
ALTER TABLE channel_settings ADD PRIMARY KEY (channel_id), ADD FOREIGN KEY (channel_id) REFERENCES channels;
ALTER TABLE channel_growth ADD PRIMARY KEY (channel_id, day), ADD FOREIGN KEY (channel_id) REFERENCES channels;
ALTER TABLE categories ADD PRIMARY KEY (category_id), ADD FOREIGN KEY (parent_id) REFERENCES categories;
ALTER TABLE channel_categories ADD PRIMARY KEY (channel_id, category_id), ADD FOREIGN KEY (channel_id) REFERENCES channels, ADD FOREIGN KEY (category_id) REFERENCES categories;
ALTER TABLE post_versions ADD PRIMARY KEY (post_id, version), ADD FOREIGN KEY (post_id) REFERENCES posts;
ALTER TABLE post_media ADD PRIMARY KEY (media_id), ADD FOREIGN KEY (post_id) REFERENCES posts;
ALTER TABLE tags ADD PRIMARY KEY (tag_id), ADD UNIQUE (name);
ALTER TABLE post_tags ADD PRIMARY KEY (post_id, tag_id), ADD FOREIGN KEY (post_id) REFERENCES posts, ADD FOREIGN KEY (tag_id) REFERENCES tags;
ALTER TABLE post_reactions ADD PRIMARY KEY (post_id, emoji), ADD FOREIGN KEY (post_id) REFERENCES posts;
ALTER TABLE post_comments ADD PRIMARY KEY (comment_id), ADD FOREIGN KEY (post_id) REFERENCES posts;
ALTER TABLE scheduled_posts ADD PRIMARY KEY (post_id), ADD FOREIGN KEY (post_id) REFERENCES posts;
ALTER TABLE deliveries ADD PRIMARY KEY (delivery_id), ADD FOREIGN KEY (post_id) REFERENCES posts, ADD FOREIGN KEY (user_id) REFERENCES users;
ALTER TABLE metrics ADD PRIMARY KEY (post_id, captured_at), ADD FOREIGN KEY (post_id) REFERENCES posts;
ALTER TABLE metric_definitions ADD PRIMARY KEY (name);
ALTER TABLE alert_rules ADD PRIMARY KEY (rule_id), ADD FOREIGN KEY (channel_id) REFERENCES channels, ADD FOREIGN KEY (metric) REFERENCES metric_definitions;
ALTER TABLE alerts ADD PRIMARY KEY (alert_id), ADD FOREIGN KEY (rule_id) REFERENCES alert_rules;
ALTER TABLE notifications ADD PRIMARY KEY (notification_id), ADD FOREIGN KEY (user_id) REFERENCES users, ADD FOREIGN KEY (alert_id) REFERENCES alerts;
ALTER TABLE reports ADD PRIMARY KEY (report_id), ADD FOREIGN KEY (channel_id) REFERENCES channels;
ALTER TABLE experiments ADD PRIMARY KEY (experiment_id), ADD FOREIGN KEY (channel_id) REFERENCES channels;
ALTER TABLE experiment_variants ADD PRIMARY KEY (experiment_id, variant), ADD FOREIGN KEY (experiment_id) REFERENCES experiments, ADD FOREIGN KEY (post_id) REFERENCES posts;
ALTER TABLE raw_updates ADD PRIMARY KEY (update_id);
ALTER TABLE audit_log ADD PRIMARY KEY (entry_id), ADD FOREIGN KEY (user_id) REFERENCES users;

CREATE INDEX ON posts (channel_id, published_at DESC) WHERE state = 'published';
CREATE INDEX ON posts USING gin (words);
CREATE INDEX ON post_comments (post_id, written_at);
CREATE INDEX ON metrics (captured_at);
CREATE INDEX ON audit_log (at);
CREATE INDEX ON channels (lower(title));
CREATE INDEX ON users USING gin (settings);

SELECT setval(pg_get_serial_sequence('users', 'user_id'), 1500), setval(pg_get_serial_sequence('channels', 'channel_id'), 84),
       setval(pg_get_serial_sequence('posts', 'post_id'), 2772);

CREATE TRIGGER posts_touch BEFORE UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER users_touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

CREATE VIEW channel_overview AS
    SELECT channel_id, channels.title, subscribers, count(post_id) AS posts, max(published_at) AS latest_post_at
    FROM channels LEFT JOIN posts USING (channel_id) GROUP BY channel_id;
CREATE VIEW monthly_growth AS
    SELECT channel_id, date_trunc('month', day)::date AS month, sum(joined - gone) AS net FROM channel_growth GROUP BY 1, 2;
CREATE MATERIALIZED VIEW top_posts AS
    SELECT post_id, posts.title, max(views) AS views FROM metrics_2025_q4 JOIN posts USING (post_id) GROUP BY post_id, posts.title
    ORDER BY views DESC, post_id LIMIT 100;
CREATE UNIQUE INDEX ON top_posts (post_id);

GRANT SELECT ON ALL TABLES IN SCHEMA public TO :"reader";

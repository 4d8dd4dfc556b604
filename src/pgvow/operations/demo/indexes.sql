-- What comes after the rows: indexes, and a view over a check that the server words anew.
CREATE INDEX messages_conversation ON messages (conversation_id, sent_at);
CREATE INDEX messages_payload ON messages USING gin (payload);
CREATE VIEW recent_questions AS
  SELECT content, sent_at FROM messages WHERE role IN ('user') ORDER BY sent_at DESC LIMIT 100;

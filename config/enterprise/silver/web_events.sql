-- A tombstone of the topic takes nothing back here: events are history.
SELECT
  _row,
  event_id,
  customer_id,
  product_id,
  lower(kind) AS kind,
  page,
  CAST(occurred_at AS TIMESTAMP) AS occurred_at
FROM {{ changes "bronze.raw_web_events" }}

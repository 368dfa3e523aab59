-- The days count up to as_of, not to now, so that a repeated run gives the same table.
WITH bought AS (
  SELECT customer_id, count(*) AS orders, max(order_date) AS last_order_date
  FROM {{ ref "gold.fact_orders" }}
  WHERE status <> 'cancelled'
  GROUP BY customer_id
),
seen AS (
  SELECT
    customer_id,
    count(*) AS events,
    count(CASE WHEN kind = 'cart' THEN 1 END) AS carts,
    max(occurred_at) AS last_seen_at
  FROM {{ ref "silver.web_events" }}
  WHERE customer_id IS NOT NULL
  GROUP BY customer_id
)
SELECT
  c.customer_id,
  c.country,
  c.segment,
  coalesce(b.orders, 0) AS orders,
  b.last_order_date,
  CAST(CAST('{{ var "as_of" }}' AS DATE) - b.last_order_date AS INTEGER) AS days_since_last_order,
  coalesce(s.events, 0) AS events,
  coalesce(s.carts, 0) AS carts,
  s.last_seen_at
FROM {{ ref "silver.customers" }} AS c
LEFT JOIN bought AS b ON b.customer_id = c.customer_id
LEFT JOIN seen AS s ON s.customer_id = c.customer_id

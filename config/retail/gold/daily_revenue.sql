SELECT
  order_date,
  currency,
  count(*) AS orders,
  CAST(sum(quantity) AS BIGINT) AS units,
  CAST(sum(amount) AS DECIMAL(18, 2)) AS revenue,
  CAST(sum(amount_usd) AS DECIMAL(18, 4)) AS revenue_usd
FROM {{ ref "gold.fact_orders" }}
WHERE status <> 'cancelled'
GROUP BY order_date, currency

SELECT
  order_date,
  category,
  currency,
  count(*) AS orders,
  CAST(sum(amount) AS DECIMAL(18, 2)) AS revenue,
  CAST(sum(margin) AS DECIMAL(18, 2)) AS margin
FROM {{ ref "gold.fact_orders" }}
WHERE status <> 'cancelled'
GROUP BY order_date, category, currency

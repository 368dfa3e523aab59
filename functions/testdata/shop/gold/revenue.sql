SELECT
  customer_id,
  count(*) AS orders,
  CAST(sum(amount) AS DECIMAL(18, 2)) AS revenue
FROM {{ ref "gold.order_facts" }}
GROUP BY customer_id

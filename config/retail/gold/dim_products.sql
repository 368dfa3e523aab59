-- The key is the rank by product_id, so that the same catalogue always gets the same keys.
SELECT
  CAST(row_number() OVER (ORDER BY product_id) AS BIGINT) AS product_sk,
  product_id,
  product_name,
  category,
  brand,
  unit_cost,
  active
FROM {{ ref "silver.cleaned_products" }}

SELECT
  customer_id,
  email,
  name,
  country,
  segment,
  credit_limit,
  updated_at AS valid_from
FROM {{ changes "silver.customers" }}
